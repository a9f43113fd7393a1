"""Stands in for the validator: loads its tree at boot as the real one does, and ends with a traceback where that is bad.

The file `behaviour` beside `run.sh` has words: `crash` (ends at once), `stubborn` (ignores SIGINT), `fork` (leaves a process
behind that is nobody's child and ignores SIGINT), `slow` (takes two seconds to load). `allergic=HOTKEY` ends at once where the
tree has that miner, `faints=HOTKEY` after two seconds.
"""

import gzip
import json
import os
import pathlib
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
STATE = ROOT / "validation"
SECTIONS = ["eliminations", "perf_ledgers", "challengeperiod", "miner_account_sizes", "asset_selections"]


def words():
    try:
        return (ROOT / "behaviour").read_text().split()
    except FileNotFoundError:
        return []


def strict(text):
    """Python reads NaN and Infinity; the validator's types do not."""

    def refuse(constant):
        raise ValueError(f"{constant} is no number")

    return json.loads(text, parse_constant=refuse)


def load():
    """Every file as the validator loads it; gives the number of positions."""
    tmp = STATE / "tmp"
    if tmp.is_dir():
        for entry in tmp.iterdir():
            os.remove(entry)
    count = 0
    for path in sorted((STATE / "miners").glob("*/positions/*/*/*")):
        if path.name.endswith(".swp") or path.name == ".DS_Store":
            continue
        position = strict(path.read_text())
        for order in position["orders"]:
            if not isinstance(order["price"], (int, float)):
                raise ValueError(f"{path}: price {order['price']!r}")
        count += 1
    for section in SECTIONS:
        plain, packed = STATE / f"{section}.json", STATE / f"{section}.json.gz"
        if packed.exists():
            strict(gzip.decompress(packed.read_bytes()).decode())
        elif plain.exists():
            strict(plain.read_text())
    return count


def note(what):
    """When it begins and when it ends, by the clock that all processes of a host share."""
    with open(ROOT / "lives", "a") as lives:
        lives.write(f"{what} {time.monotonic()}\n")


def interrupted(number, frame):
    note("end")
    signal.default_int_handler(number, frame)


def leave_one_behind():
    """A process that has left its parent and its session; there is no moment at which a SIGINT would end it."""
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.fork():
        signal.signal(signal.SIGINT, interrupt)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    while True:
        time.sleep(1)


note("begin")
behaviour = words()
signal.signal(signal.SIGINT, interrupted)
# Who sees the start noted may count on this.
if "stubborn" in behaviour:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
with open(ROOT / "starts", "a") as starts:
    starts.write(f"{os.getpid()}\n")
if "crash" in behaviour:
    sys.exit("it crashes")
if "fork" in behaviour:
    leave_one_behind()
if "slow" in behaviour:
    time.sleep(2)
positions = load()


def has(illness):
    """Whether the tree has the miner that brings this about."""
    hotkeys = [word.split("=")[1] for word in behaviour if word.startswith(illness + "=")]
    return any((STATE / "miners" / hotkey).is_dir() for hotkey in hotkeys)


if has("allergic"):
    sys.exit("it cannot live with that miner")
print(f"loaded {positions} positions", flush=True)
print("[INIT] All 10 initialization steps completed successfully!", flush=True)
if has("faints"):
    time.sleep(2)
    sys.exit("it fainted")
while True:
    time.sleep(1)
