"""Makes the 131 inputs that the restore script was tried with, each in a directory of its own:

    cases.py ROOT     writes ROOT/<case>/repo/validator_checkpoint.json[.gz] and prints [[case, what], ...]
"""
import copy
import gzip
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from generate import NOW, checkpoint  # noqa: E402

BASE = checkpoint()
MINERS = list(BASE["positions"])
THIRD = MINERS[2]
PLAIN, PACKED = "validator_checkpoint.json", "validator_checkpoint.json.gz"
CASES = []


def case(name, what, **files):
    """`files` maps `plain` and `packed` to bytes."""
    CASES.append((name, what, files))


def packed(data):
    return gzip.compress(data, mtime=0)


def text(data):
    return json.dumps(data).encode()


def changed(name, what, change, raw=None):
    """The good checkpoint after `change(data, positions of the third miner)`; `raw` edits the text."""
    data = copy.deepcopy(BASE)
    change(data, data["positions"][THIRD]["positions"])
    made = json.dumps(data)
    case(name, what, plain=(raw(made) if raw else made).encode())


def on_position(name, what, **fields):
    def change(_, positions):
        for key, value in fields.items():
            if value is ...:
                del positions[0][key]
            else:
                positions[0][key] = value
    changed(name, what, change)


def on_order(name, what, **fields):
    changed(name, what, lambda _, positions: positions[0]["orders"][0].update(fields))


def on_source(name, what, source):
    on_order(name, what, price_sources=[source])


GOOD = text(BASE)
SMALL = packed(GOOD)

# === the file ===
case("ok_gz", "the good checkpoint, compressed", packed=SMALL)
case("ok_json", "the good checkpoint, plain", plain=GOOD)
case("ok_json_double_encoded", "a JSON string that holds the JSON", plain=text(GOOD.decode()))
case("gz_double_encoded", "the same, compressed", packed=packed(text(GOOD.decode())))
case("missing", "neither file is there")
case("trunc_gz", "the first half of a compressed file", packed=SMALL[:len(SMALL) // 2])
case("trunc_gz_only_trailer", "a compressed file without its last 4 bytes", packed=SMALL[:-4])
case("bad_crc_gz", "a wrong checksum", packed=SMALL[:-8] + bytes([SMALL[-8] ^ 0xff]) + SMALL[-7:])
case("trailing_garbage_gz", "text after the compressed data", packed=SMALL + b"garbage")
case("trailing_zeros_gz", "zero bytes after the compressed data", packed=SMALL + bytes(512))
case("multi_member_gz", "two gzip members", packed=packed(GOOD[:9999]) + packed(GOOD[9999:]))
case("gz_named_json", "a compressed file without .gz", plain=SMALL)
case("plain_named_gz", "a plain file with .gz", packed=GOOD)
other = copy.deepcopy(BASE)
other["created_timestamp_ms"] += 1
case("both_differ", "both files, different", plain=text(other), packed=SMALL)
case("both_gz_corrupt_json_ok", "both files, the compressed one cut", plain=GOOD, packed=SMALL[:-100])
case("empty_json", "an empty plain file", plain=b"")
case("empty_gz", "an empty file with .gz", packed=b"")
case("gz_of_empty", "nothing, compressed", packed=packed(b""))
case("invalid_json", "plain JSON cut inside a string", plain=GOOD[:GOOD.index(b'"current_return"') + 5])
case("bom_json", "a byte order mark, plain", plain=b"\xef\xbb\xbf" + GOOD)
case("bom_gz", "a byte order mark, compressed", packed=packed(b"\xef\xbb\xbf" + GOOD))
case("utf16_json", "UTF-16", plain=GOOD.decode().encode("utf-16"))
case("top_list", "a list at the top", plain=text([BASE]))
case("top_null", "null at the top", plain=b"null")
case("top_empty_obj", "an empty object", plain=b"{}")
case("is_directory", "a directory with the name of the plain file", plain=None)
case("dangling_symlink", "a symbolic link to nothing", plain=...)

# === sections ===
for key in list(BASE):
    changed(f"missing_{key}", f"no `{key}`", lambda data, _: data.pop(key))
for key in ("challengeperiod", "miner_account_sizes", "eliminations", "positions", "perf_ledgers", "asset_selections"):
    wrong = {} if key == "eliminations" else []
    empty = [] if key == "eliminations" else {}
    if key != "eliminations":
        wrong = [1]
    changed(f"flip_type_{key}", f"`{key}` of the wrong type", lambda data, _: data.update({key: wrong}))
    changed(f"null_{key}", f"`{key}` is null", lambda data, _: data.update({key: None}))
    changed(f"empty_{key}", f"`{key}` is empty", lambda data, _: data.update({key: empty}))
changed("elim_list_of_str", "eliminations that are strings", lambda d, _: d.update(eliminations=["a", "b"]))
changed("created_ts_string", "`created_timestamp_ms` is a string", lambda d, _: d.update(created_timestamp_ms=str(NOW)))
old = checkpoint(now=NOW - 8 * 365 * 86_400_000)
case("old_checkpoint", "a checkpoint eight years old", plain=text(old))
changed("unknown_top_key", "an unknown key at the top", lambda d, _: d.update(surprise={"x": 1}))
changed("hotkey_without_positions_key", "a miner without `positions`", lambda d, _: d["positions"][THIRD].pop("positions"))
changed("hotkey_empty_positions", "a miner with no positions", lambda d, p: p.clear())

# === positions ===
on_position("pos_missing_trade_pair", "no `trade_pair`", trade_pair=...)
on_position("pos_unknown_trade_pair", "a pair that nobody knows", trade_pair=["ABCXYZ", "ABC/XYZ", 0, 0, 1])
on_position("pos_trade_pair_string", "`trade_pair` is a string", trade_pair="BTCUSD")
on_position("pos_trade_pair_short_list", "`trade_pair` is just the id", trade_pair=["BTCUSD"])
on_position("pos_missing_uuid", "no `position_uuid`", position_uuid=...)
on_position("pos_extra_key", "an unknown key", surprise=1)
on_position("pos_numeric_strings", "numbers in strings", current_return="1.5", open_ms="1762000000000")
on_order("pos_price_string", "a price in a string", price="1.5")
on_position("pos_float_ms", "a time as a whole float", open_ms=1762000000000.0)
on_position("pos_fractional_ms", "a time with a fraction", open_ms=1762000000000.5)
on_position("pos_int_in_float", "integers where floats belong", current_return=1, net_leverage=0, realized_pnl=-3)
on_position("pos_close_ms_null_closed", "a closed position that was never closed", close_ms=None)
changed("pos_close_ms_null_open", "an open position with `close_ms` null",
        lambda d, _: [p.update(close_ms=None) for m in d["positions"].values() for p in m["positions"]
                      if not p["is_closed_position"]])


def minimal(_, positions):
    keep = ("miner_hotkey", "position_uuid", "open_ms", "trade_pair", "orders", "is_closed_position", "close_ms")
    needed = ("order_type", "leverage", "price", "processed_ms", "order_uuid")
    positions[0] = {key: positions[0][key] for key in keep}
    positions[0]["orders"] = [{key: order[key] for key in needed} for order in positions[0]["orders"]]


changed("pos_minimal_fields", "only what is required", minimal)
on_position("pos_no_orders", "a position without orders", orders=[])
on_order("ord_short_positive_leverage", "SHORT with a positive leverage", order_type="SHORT", leverage=0.1)
on_order("ord_long_negative_leverage", "LONG with a negative leverage", order_type="LONG", leverage=-0.1)
on_order("ord_leverage_too_small", "leverage 0.0001", order_type="LONG", leverage=0.0001)
on_order("ord_leverage_too_big", "leverage 501", order_type="LONG", leverage=501)
on_order("ord_bad_type", "an unknown `order_type`", order_type="long")
on_order("ord_negative_price", "a negative price", price=-1.0)
on_order("ord_uuid_int", "`order_uuid` is a number", order_uuid=7)
on_order("ord_src_5", "`src` 5, which only 8.x knows", src=5)
on_source("ord_price_source_partial", "a price source with little in it", {"open": 1, "close": 2.5})
on_source("ord_price_source_empty_obj", "a price source with nothing in it", {})
on_order("nan_price", "a price that is NaN", price=float("nan"))
changed("inf_price_1e400", "a price of 1e400", lambda _, p: p[0]["orders"][0].update(price=123456789.25),
        lambda made: made.replace("123456789.25", "1e400"))


def in_ledger(data, **fields):
    data["perf_ledgers"][THIRD]["portfolio"]["cps"][1].update(fields)


changed("nan_in_ledger", "NaN in a ledger", lambda d, _: in_ledger(d, gain=float("nan")))
changed("ledger_shape_garbage", "a ledger of the wrong shape", lambda d, _: d["perf_ledgers"].update({THIRD: {"portfolio": [1]}}))
changed("float_edge_cases", "numbers at the edges of Python's formatting",
        lambda d, p: (p[0].update(current_return=1e16, return_at_close=1e-05, net_leverage=-0.0, realized_pnl=5e-324,
                                  account_size=1.7976931348623157e308, cumulative_entry_value=123456789012345680.0),
                      in_ledger(d, gain=1e22, loss=-1e-07, mdd=0.0001, mpv=9999999999999998.0)))
on_position("big_int_ms", "a time of 4e18", open_ms=4 * 10**18)
on_position("huge_int_ms", "a time of 1e30", open_ms=10**30)

# === names ===
on_position("outer_inner_hotkey_mismatch", "`miner_hotkey` of another miner", miner_hotkey=MINERS[0])


def rename(data, name):
    positions = data["positions"].pop(THIRD)
    for position in positions["positions"]:
        position["miner_hotkey"] = name
    data["positions"][name] = positions


UP = "../" * 6
changed("trav_outer_hotkey", "a hotkey with `../`", lambda d, _: rename(d, "../../../ESC_outer"))
on_position("trav_inner_hotkey", "`miner_hotkey` with `../`", miner_hotkey="../../ESC_inner")
on_position("trav_uuid", "a uuid with `../`", position_uuid=UP + "ESC_uuid")
on_position("trav_uuid_deep", "a uuid with many `../`", position_uuid=UP + UP + "tmp/ESC_uuid_outside_tree")
on_position("trav_uuid_overwrite", "a uuid that names the restore script", position_uuid=UP + "restore_validator_from_backup.py")
on_position("uuid_slash", "a uuid with `/`", position_uuid="a/b/c")
on_position("uuid_abs", "a uuid that is an absolute path", position_uuid="/tmp/x")
on_position("uuid_empty", "an empty uuid", position_uuid="")
on_position("uuid_dot", "the uuid `.`", position_uuid=".")
on_position("uuid_nul", "a uuid with NUL", position_uuid="a\0b")
on_position("uuid_long", "a uuid of 300 characters", position_uuid="u" * 300)
on_position("uuid_swp", "a uuid that ends in .swp", position_uuid="a.swp")
changed("hotkey_empty", "an empty hotkey", lambda d, _: rename(d, ""))
changed("hotkey_unicode", "a hotkey in Unicode", lambda d, _: rename(d, "5héllo"))
changed("hotkey_surrogate", "a hotkey with a lone surrogate", lambda d, _: rename(d, "5\ud800"))

# === duplicates ===
changed("dup_uuid_same_pair", "one uuid twice, in one pair", lambda _, p: p.append(copy.deepcopy(p[0])))
changed("dup_uuid_other_pair", "one uuid twice, in two pairs",
        lambda _, p: p.append(copy.deepcopy(p[0]) | {"trade_pair": ["NZDUSD", "NZD/USD", 7e-05, 0.1, 5]}))
changed("dup_uuid_other_hotkey", "one uuid under two miners",
        lambda d, p: d["positions"][MINERS[3]]["positions"].append(copy.deepcopy(p[0]) | {"miner_hotkey": MINERS[3]}))
changed("dup_order_uuid", "one order uuid twice",
        lambda _, p: p[1]["orders"][0].update(order_uuid=p[0]["orders"][0]["order_uuid"]))


def again(positions, **fields):
    found = next(p for p in positions if not p["is_closed_position"])
    positions.append(copy.deepcopy(found) | {"position_uuid": "11111111-2222-4333-8444-555555555555"} | fields)


changed("two_open_same_pair", "two open positions in a pair", lambda _, p: again(p))
changed("open_and_later_closed_same_pair_ok", "a closed position after an open one",
        lambda _, p: again(p, is_closed_position=True, close_ms=NOW - 5, position_type="FLAT"))
changed("dup_json_keys", "a key twice in an object", lambda *_: None,
        lambda made: made.replace('"src": 0', '"src": 1, "src": 0', 1))

# === the small sections ===
changed("cp_legacy", "the old form of `challengeperiod`",
        lambda d, _: d.update(challengeperiod={"testing": {MINERS[0]: NOW - 9}, "success": {MINERS[1]: NOW - 8}}))


def period(name, what, **fields):
    changed(name, what, lambda d, _: d["challengeperiod"][THIRD].update(fields))


period("cp_bad_bucket", "an unknown bucket", bucket="NOPE")
period("cp_null_bucket", "a bucket that is null", bucket=None)
period("cp_unknown_bucket", "the bucket `unknown`", bucket="unknown")
period("cp_extra_key", "an unknown key in a bucket", surprise=1)


def size(name, what, **fields):
    def change(data, _):
        record = data["miner_account_sizes"][THIRD][0]
        for key, value in fields.items():
            record.pop(key)
            if value is not ...:
                record[key] = value
    changed(name, what, change)


size("acct_missing_theta", "no `account_size_theta`", account_size_theta=...)
size("acct_missing_size", "no `account_size`", account_size=...)
size("acct_wrong_valid_date", "a wrong `valid_date_timestamp`", valid_date_timestamp=1)
changed("acct_empty_list", "a miner without account sizes", lambda d, _: d["miner_account_sizes"].update({THIRD: []}))
size("acct_str_time", "a time in a string", update_time_ms="x")
changed("sel_invalid", "an unknown market", lambda d, _: d["asset_selections"].update({THIRD: "stonks"}))
changed("sel_case", "a market in the wrong case", lambda d, _: d["asset_selections"].update({THIRD: "Crypto"}))
on_position("position_in_blocked_pair", "a pair that is blocked for trading", trade_pair=["SPX", "SPX", 9e-05, 0.1, 5])
on_position("stale_fee_in_pair", "old fees in `trade_pair`", trade_pair=["EURUSD", "EUR/USD", 0.5, 1, 9])


def main(root):
    for name, _, files in CASES:
        repo = os.path.join(root, name, "repo")
        os.makedirs(repo)
        for which, content in files.items():
            path = os.path.join(repo, PLAIN if which == "plain" else PACKED)
            if content is None:
                os.mkdir(path)
            elif content is ...:
                os.symlink("nowhere", path)
            else:
                with open(path, "wb") as file:
                    file.write(content)
    print(json.dumps([[name, what] for name, what, _ in CASES]))


main(sys.argv[1])
