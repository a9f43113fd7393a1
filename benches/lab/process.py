"""What a process costs, as the kernel tells it. Needs its owner's rights, or root's."""
import os
import time


def fields(pid, name):
    with open(f"/proc/{pid}/{name}") as lines:
        return dict(line.split(":", 1) for line in lines if ":" in line)


def memory(pid):
    """PSS, RSS and what is its own (anonymous), in bytes."""
    rollup = fields(pid, "smaps_rollup")
    return {name: int(rollup[name].split()[0]) * 1024 for name in ("Pss", "Rss", "Anonymous")}


def threads(pid):
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm") as name:
                names.append(name.read().strip())
        except OSError:
            pass  # It has just ended.
    return names


def open_files(pid):
    """What each descriptor stands for."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except OSError:
            pass  # It has just been closed.
    return found


def spent(pid):
    """What it has used up since its start."""
    io = fields(pid, "io")
    switches = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            switches += int(fields(pid, f"task/{task}/status")["voluntary_ctxt_switches"])
        except OSError:
            pass
    return {
        "at": time.monotonic(),
        # The kernel's clock of another process: `/proc/PID/stat` counts in steps of 10 ms.
        "cpu": time.clock_gettime((~pid << 3) | 2),
        "stored": int(io["write_bytes"]),
        "written": int(io["wchar"]),
        "switches": switches,
    }


def tree(directory):
    """Every file with its size and the time of its last change: what differs afterwards was written."""
    found = set()
    for path, _, names in os.walk(directory):
        for name in names:
            seen = os.lstat(os.path.join(path, name))
            found.add((path, name, seen.st_ino, seen.st_size, seen.st_mtime_ns))
    return found
