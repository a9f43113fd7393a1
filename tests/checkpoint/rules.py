"""The restore script's result, said again in Python: the other side of the checkpoint tests.

Serves one request per line on standard input, `{"do": ..., ...}`, and answers with one line of JSON:
  tree      {"file", "into", "layout"}   write the tree of a sound plain JSON checkpoint
  manifest  {"root"}                     type, mode, size, sha256 and path of everything under root
Everything is written by the real `json.dumps`; nothing is checked, for only sound input comes here.
"""
import gzip
import hashlib
import json
import os
import sys

DAY = 86_400_000
NEEDED = object()

POSITION = [("miner_hotkey", str, NEEDED), ("position_uuid", str, NEEDED), ("open_ms", int, NEEDED),
            ("trade_pair", None, None), ("orders", None, None), ("current_return", float, 1.0),
            ("close_ms", int, None), ("net_leverage", float, 0.0), ("net_value", float, 0.0),
            ("net_quantity", float, 0.0), ("return_at_close", float, 1.0), ("average_entry_price", float, 0.0),
            ("cumulative_entry_value", float, 0.0), ("account_size", float, 0.0), ("realized_pnl", float, 0.0),
            ("unrealized_pnl", float, 0.0), ("position_type", str, None), ("is_closed_position", bool, False)]
ORDER = [("order_type", str, NEEDED), ("leverage", float, None), ("value", float, None), ("quantity", float, None),
         ("execution_type", str, "MARKET"), ("limit_price", float, None), ("stop_loss", float, None),
         ("take_profit", float, None), ("price", float, NEEDED), ("bid", float, 0), ("ask", float, 0),
         ("slippage", float, 0), ("quote_usd_rate", float, 0.0), ("usd_base_rate", float, 0.0),
         ("processed_ms", int, NEEDED), ("order_uuid", str, NEEDED), ("price_sources", None, None), ("src", int, 0)]
SOURCE = [("source", str, "unknown"), ("timespan_ms", int, 0), ("open", float, None), ("close", float, None),
          ("vwap", float, None), ("high", float, None), ("low", float, None), ("start_ms", int, 0),
          ("websocket", bool, False), ("lag_ms", int, 0), ("bid", float, 0.0), ("ask", float, 0.0)]
NEW_IN_8 = {"net_value", "net_quantity", "unrealized_pnl", "value", "quantity", "execution_type", "limit_price",
            "stop_loss", "take_profit", "quote_usd_rate", "usd_base_rate"}

CRYPTO = "BTC ETH SOL XRP DOGE ADA TAO".split()
SHARES = "NVDA AAPL TSLA AMZN MSFT GOOG META".split()
INDICES = "SPX DJI NDX VIX FTSE GDAXI".split()


def pair(name):
    """id, name, fee now, fee in files, least and most leverage, market, base, quote"""
    if name in SHARES:
        return name, name, 9e-05, 9e-05, 0.1, 3, "equities", name, "USD"
    if name in INDICES:
        return name, name, 9e-05, 9e-05, 0.1, 5, "indices", name, "USD"
    base, quote = name[:-3], name[-3:]
    slashed = base + "/" + quote
    if base in CRYPTO:
        old = 0.003 if base in ("BTC", "ETH") else 0.001
        return name, slashed, 0.001, old, 0.01, 0.5, "crypto", base, "USD"
    return name, slashed, 7e-05, 7e-05, 0.1, 5, "forex", base, quote


def fill(given, table, v8, cast=True):
    """The fields of a table in its order, with defaults, and doubles made of integers."""
    out = {}
    for name, kind, default in table:
        if name in NEW_IN_8 and not v8:
            continue
        value = given[name] if default is NEEDED else given.get(name, default)
        if kind is float and cast and value is not None and (name in given or cast == "all"):
            value = float(value)
        out[name] = value
    return out


def order(given, tp, v8, cast):
    out = fill(given, ORDER, v8, cast)
    if not v8 and out["order_type"] == "SHORT":
        out["leverage"] = -1.0 * abs(out["leverage"])
    if v8 and out["price"] != 0:
        base, quote = tp[7], tp[8]
        if out["quote_usd_rate"] == 0:
            if quote == "USD":
                out["quote_usd_rate"] = 1.0
            elif base == "USD":
                out["quote_usd_rate"] = 1.0 / out["price"]
        if out["usd_base_rate"] == 0:
            if base == "USD":
                out["usd_base_rate"] = 1.0
            elif quote == "USD":
                out["usd_base_rate"] = 1.0 / out["price"]
    out["price_sources"] = [fill(s, SOURCE, v8, False if v8 else "all") for s in given.get("price_sources", [])]
    return out


def position(given, v8):
    tp = pair(given["trade_pair"][0])
    out = fill(given, POSITION, v8, "all")
    out["trade_pair"] = [tp[0], tp[1], tp[3], tp[4], tp[5]]
    out["orders"] = [order(o, tp, v8, "all") for o in given.get("orders", [])]
    return out


def limit_order(given):
    tp = pair(given["trade_pair_id"])
    named = {"trade_pair_id": tp[0], "trade_pair": tp[1], "fees": tp[2], "min_leverage": tp[4],
             "max_leverage": tp[5], "trade_pair_category": tp[6]}
    return {"trade_pair": named, **order(given, tp, True, True)}


def buckets(given):
    if "testing" in given and "success" in given:
        given = {**{k: {"bucket": "CHALLENGE", "bucket_start_time": t} for k, t in given["testing"].items()},
                 **{k: {"bucket": "MAINCOMP", "bucket_start_time": t} for k, t in given["success"].items()}}
    names = ("bucket", "bucket_start_time", "previous_bucket", "previous_bucket_start_time")
    return {hotkey: {name: info.get(name) for name in names} for hotkey, info in given.items()}


def sizes(given):
    out = {}
    for hotkey, records in given.items():
        kept = [{"account_size": r["account_size"], "account_size_theta": r["account_size_theta"],
                 "update_time_ms": r["update_time_ms"],
                 "valid_date_timestamp": (r["update_time_ms"] // DAY + 1) * DAY} for r in records]
        if kept:
            out[hotkey] = kept
    return out


def tree(file, into, layout):
    v8 = layout == "8.8.9"
    opener = gzip.open if open(file, "rb").read(2) == b"\x1f\x8b" else open
    with opener(file, "rt", encoding="utf-8") as f:
        data = json.load(f)
    if isinstance(data, str):
        data = json.loads(data)

    def put(path, value, packed=False):
        path = os.path.join(into, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with (gzip.open if packed else open)(path, "wt", encoding="utf-8") as f:
            f.write(json.dumps(value))

    os.makedirs(os.path.join(into, "miners"))
    os.makedirs(os.path.join(into, "tmp"))
    for hotkey, held in data["positions"].items():
        for p in held["positions"]:
            state = "closed" if p.get("is_closed_position") else "open"
            put(f"miners/{hotkey}/positions/{p['trade_pair'][0]}/{state}/{p['position_uuid']}", position(p, v8))
    put("eliminations.json", {"eliminations": data["eliminations"]})
    put("perf_ledgers.json" + ".gz" * v8, data.get("perf_ledgers", {}), v8)
    put("challengeperiod.json", buckets(data.get("challengeperiod", {})))
    put("departed_hotkeys.json", {"departed_hotkeys": {}})
    if data.get("miner_account_sizes"):
        put("miner_account_sizes.json", sizes(data["miner_account_sizes"]))
    if data.get("asset_selections"):
        put("asset_selections.json", data["asset_selections"])
    for hotkey, orders in data.get("limit_orders", {}).items() if v8 else ():
        for o in orders:
            state = "unfilled" if o.get("src") in (5, 8) else "closed"
            put(f"miners/{hotkey}/limit_orders/{o['trade_pair_id']}/{state}/{o['order_uuid']}", limit_order(o))
    return True


def manifest(root):
    lines = []
    for directory, _, files in os.walk(root):
        for path in [directory] + [os.path.join(directory, f) for f in files]:
            info = os.lstat(path)
            mode, name = f"{info.st_mode & 0o7777:o}", os.path.relpath(path, os.path.dirname(root))
            if os.path.islink(path):
                lines.append(f"l {mode} - {os.readlink(path)} {name}")
            elif os.path.isdir(path):
                lines.append(f"d {mode} - - {name}")
            else:
                content = open(path, "rb").read()
                if path.endswith("perf_ledgers.json.gz"):
                    # Two compressors never agree on bytes; the validator reads what is inside.
                    content = gzip.decompress(content)
                lines.append(f"f {mode} {len(content)} {hashlib.sha256(content).hexdigest()} {name}")
    return sorted(lines)


def main():
    for line in sys.stdin:
        request = json.loads(line)
        do = {"tree": tree, "manifest": manifest}[request.pop("do")]
        try:
            answer = do(**request)
        except Exception as error:  # it goes to whoever asked
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
