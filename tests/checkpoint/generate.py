"""Makes checkpoints of any size in the shape that a validator writes them, the same for the same seed.

As a program:  generate.py --into FILE[.gz] [--version 7.1.1] [--miners 12 --positions 20 --orders 3
                           --entries 60 --pairs 2 --seed 1 --now MS]
"""
import argparse
import gzip
import hashlib
import json
import random

DAY = 86_400_000
NOW = 1_762_740_000_000
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MARKETS = {"crypto": [("BTCUSD", 60e3), ("ETHUSD", 2500.0), ("SOLUSD", 150.0), ("DOGEUSD", 0.12)],
           "forex": [("EURUSD", 1.09), ("USDCAD", 1.36), ("EURGBP", 0.85), ("CADCHF", 0.65)]}


def hotkey(rng):
    body = b"\x2a" + rng.randbytes(32)
    number = int.from_bytes(body + hashlib.blake2b(b"SS58PRE" + body).digest()[:2], "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text


def uuid(rng):
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], "4" + digits[13:16], "a" + digits[17:20], digits[20:]))


def source(rng, name, price, time):
    live = name.endswith("ws")
    return {"source": name, "timespan_ms": 0 if live else 1000, "open": price, "close": price * 1.00001,
            "vwap": None if live else price, "high": price * 1.0001, "low": price * 0.9999,
            "start_ms": time - rng.randrange(900), "websocket": live, "lag_ms": rng.randrange(900),
            "bid": price * 0.99998, "ask": price * 1.00002}


def order(rng, kind, leverage, price, time, now, v8):
    recent = now - time < 7 * DAY
    names = ("Polygon_ws", "Tiingo_rest") if recent else ()
    made = {"order_type": kind, "leverage": leverage, "price": round(price, 5), "bid": price * 0.9999,
            "ask": price * 1.0001, "slippage": rng.choice((0.0, 1e-05, rng.random() / 1e4)), "processed_ms": time,
            "order_uuid": uuid(rng), "price_sources": [source(rng, name, price, time) for name in names], "src": 0}
    if v8:
        made |= {"value": leverage * 1e5, "quantity": leverage * 1e5 / price, "execution_type": "MARKET",
                 "limit_price": None, "stop_loss": None, "take_profit": None, "quote_usd_rate": 0.0,
                 "usd_base_rate": 0.0}
    return made


def position(rng, miner, pair, price, start, span, orders, is_open, now, v8):
    kind, sign = rng.choice((("LONG", 1), ("SHORT", -1)))
    made, total = [], 0.0
    for index in range(orders):
        time = start + span * index // orders
        price *= rng.uniform(0.99, 1.01)
        if index == orders - 1 and not is_open:
            made.append(order(rng, "FLAT", -total, price, time, now, v8))
        else:
            leverage = sign * round(rng.uniform(0.05, 0.3), 4)
            total += leverage
            made.append(order(rng, kind, leverage, price, time, now, v8))
    gain = rng.uniform(0.95, 1.05)
    whole = {"miner_hotkey": miner, "position_uuid": made[0]["order_uuid"], "open_ms": made[0]["processed_ms"],
             "trade_pair": [pair, pair[:-3] + "/" + pair[-3:], 0.001, 0.01, 0.5], "orders": made,
             "current_return": gain, "close_ms": 0 if is_open else made[-1]["processed_ms"],
             "net_leverage": total if is_open else 0.0, "return_at_close": gain * 0.9999,
             "average_entry_price": made[0]["price"], "cumulative_entry_value": rng.uniform(0, 1e6),
             "account_size": 150000.0, "realized_pnl": rng.uniform(-99, 99),
             "position_type": kind if is_open else "FLAT", "is_closed_position": not is_open}
    if v8:
        whole |= {"net_value": total * 1e5, "net_quantity": total * 3, "unrealized_pnl": rng.uniform(-9, 9)}
    return whole


def ledger(rng, entries, now, pair, price, v8):
    start, gone, list_ = now // (DAY // 2) * (DAY // 2) - entries * DAY // 2, 1.0, []
    for index in range(entries):
        gain, loss = rng.random() / 100, -rng.random() / 100
        gone *= 1 + gain + loss
        entry = {"last_update_ms": start + (index + 1) * DAY // 2, "prev_portfolio_ret": gone,
                 "prev_portfolio_spread_fee": 1.0, "prev_portfolio_carry_fee": rng.uniform(0.99, 1.0),
                 "accum_ms": DAY // 2, "open_ms": rng.randrange(DAY // 2), "n_updates": rng.randrange(30000),
                 "gain": gain, "loss": loss, "spread_fee_loss": 0.0, "carry_fee_loss": -rng.random() / 1e6,
                 "mdd": rng.uniform(0.9, 1.0), "mpv": max(1.0, gone)}
        names = ("realized_pnl", "unrealized_pnl") if v8 else ("pnl_gain", "pnl_loss")
        list_.append(entry | {name: rng.uniform(-500, 500) for name in names})
    return {"initialization_time_ms": start, "max_return": 1.0 + rng.random(), "target_cp_duration_ms": DAY // 2,
            "target_ledger_window_ms": 120 * DAY, "cps": list_,
            "last_known_prices": {pair: [price, now - 60000]} if pair else {}}


def checkpoint(miners=5, positions=7, orders=3, entries=4, pairs=1, seed=1, now=NOW, version="7.1.1"):
    rng, v8 = random.Random(seed), version == "8.8.9"
    held, ledgers, periods, sizes, chosen, limits = {}, {}, {}, {}, {}, {}
    times = []
    for _ in range(miners):
        miner, market = hotkey(rng), rng.choice(sorted(MARKETS))
        pool, mine, span = MARKETS[market], [], 110 * DAY // max(1, positions)
        for index in range(positions):
            pair, price = pool[index % len(pool)]
            is_open = index >= positions - len(pool) and index % 2 == 0
            start = now - 111 * DAY + index * span
            mine.append(position(rng, miner, pair, price, start, span, max(orders, 2), is_open, now, v8))
        times += [o["processed_ms"] for p in mine for o in p["orders"]]
        held[miner] = {"positions": mine, "thirty_day_returns": 1.0, "all_time_returns": 1.1,
                       "n_positions": len(mine), "percentage_profitable": 0.5}
        ledgers[miner] = {"portfolio": ledger(rng, entries, now, *pool[0], v8)}
        ledgers[miner] |= {pair: ledger(rng, entries, now, None, price, v8) for pair, price in pool[:pairs]}
        periods[miner] = {"bucket": rng.choice(("MAINCOMP", "CHALLENGE", "PROBATION")), "bucket_start_time": now - DAY,
                          "previous_bucket": None, "previous_bucket_start_time": None}
        sizes[miner] = [{"account_size": 500.0 * step, "account_size_theta": 1.0 * step,
                         "update_time_ms": now - DAY * (9 - step),
                         "valid_date_timestamp": ((now - DAY * (9 - step)) // DAY + 1) * DAY} for step in (1, 2)]
        chosen[miner] = market
        if v8:
            limit = order(rng, "LONG", 0.1, pool[0][1], now - DAY, now, v8)
            limits[miner] = [{"trade_pair_id": pool[0][0], **limit, "execution_type": "LIMIT", "limit_price": 9.5,
                              "src": src, "order_uuid": uuid(rng)} for src in (5, 6)]
    out = [{"hotkey": hotkey(rng), "elimination_initiated_time_ms": now - DAY, "dd": rng.choice((None, 0.93)),
            "reason": rng.choice(("ZOMBIE", "LIQUIDATED"))} for _ in range(max(1, miners // 4))]
    made = {"version": version, "created_timestamp_ms": now, "created_date": "2025-11-10 02:00:00",
            "challengeperiod": periods, "miner_account_sizes": sizes, "eliminations": out,
            "youngest_order_processed_ms": min(times), "oldest_order_processed_ms": max(times), "positions": held,
            "perf_ledgers": ledgers, "asset_selections": chosen}
    return made | ({"limit_orders": limits} if v8 else {})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", required=True)
    parser.add_argument("--version", default="7.1.1")
    for name, value in dict(miners=12, positions=20, orders=3, entries=60, pairs=2, seed=1, now=NOW).items():
        parser.add_argument("--" + name, type=int, default=value)
    given = vars(parser.parse_args())
    into = given.pop("into")
    text = json.dumps(checkpoint(**given)).encode()
    with open(into, "wb") as file:
        file.write(gzip.compress(text, mtime=0) if into.endswith(".gz") else text)


if __name__ == "__main__":
    main()
