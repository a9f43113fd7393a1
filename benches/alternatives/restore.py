"""The least that a restore by the validator's own script has to do, in Python: restore.py TESTS CHECKPOINT VALIDATION

It loads the old state as the script does (every position once, the ledgers twice), deletes the old positions, and writes the new
tree by the rules of tests/checkpoint/rules.py. It does without the script's models, which check every field, without the temporary file and
the rename for each position, and without the 2 s and 209 MB that importing the validator takes. Neither syncs anything.
"""
import json
import os
import shutil
import sys

TESTS, CHECKPOINT, VALIDATION = sys.argv[1:]
sys.path.insert(0, TESTS)
import rules  # noqa: E402


def load(path):
    with open(path) as file:
        return json.load(file)


miners, ledgers = os.path.join(VALIDATION, "miners"), os.path.join(VALIDATION, "perf_ledgers.json")
old = [load(os.path.join(path, name)) for path, _, names in os.walk(miners) for name in names]
for _ in range(2):
    held = load(ledgers) if os.path.exists(ledgers) else {}
for directory in (miners, os.path.join(VALIDATION, "tmp")):
    shutil.rmtree(directory, ignore_errors=True)
rules.tree(CHECKPOINT, VALIDATION, "7.1.1")
