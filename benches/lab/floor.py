"""What a disk takes for a tree alone: the same directories and files with the same bytes, and one sync of the filesystem."""
import os
import statistics
import subprocess
import sys

LOOP = r"""
import ctypes, os, sys, time
source, into = sys.argv[1], sys.argv[2]
directories, files = [], []
for path, _, names in os.walk(source):
    there = os.path.normpath(os.path.join(into, os.path.relpath(path, source)))
    directories.append(there)
    for name in names:
        with open(os.path.join(path, name), "rb") as file:
            files.append((os.path.join(there, name), file.read()))
start = time.monotonic()
for path in directories:
    os.mkdir(path)
for path, content in files:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(descriptor, content)
    os.close(descriptor)
top = os.open(into, os.O_RDONLY)
if ctypes.CDLL(None).syncfs(top):
    sys.exit("syncfs failed")
print(time.monotonic() - start)
"""


def floor(runs, source, into):
    """Seconds, the median of so many runs; the content is read into memory before the clock starts.

    Each run makes a tree of its own, beside `into`, and none is removed: for five minutes ext4 looks at every inode that was
    freed before it takes another one, which can take ten times as long as all the rest.
    """
    figures = []
    for run in range(runs):
        os.sync()
        out = subprocess.run([sys.executable, "-c", LOOP, source, f"{into}-{run}"], check=True, stdout=subprocess.PIPE)
        figures.append(float(out.stdout))
    return statistics.median(figures)
