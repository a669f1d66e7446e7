"""The loop that every Python peer runs: one work, done again and again on demand.

compare.py starts one process for each peer and work, reads a first line once the work is built and warm, and then asks for runs:

    stdin   run 5
    stdout  {"times_ms": [...], "peak_bytes": ..., "peak_since_imports_bytes": ...}

What a peer has no such work for, it answers with {"unsupported": "why"} and ends.
"""

import json
import os
import sys
import time


class Unsupported(Exception):
    """A work that this peer has not."""


def _status(key):
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
    except (OSError, StopIteration):
        return None


def arguments():
    """The work's name and the number of threads, from the command line; keeps to as many cores where the system lets it."""
    work, threads = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    return work, threads


def serve(build, rehearse, finish=lambda: None):
    """Builds a work and does it on demand. `build` returns the function that does it once, `finish` waits until a device has done what it was told.

    `rehearse` does something tiny of the same sort first: libraries and compilers that a framework loads when it is first used are not the work's memory, which is
    `peak_bytes`. `peak_since_imports_bytes` counts them in.
    """
    # What the answers go to; whatever a framework prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    imported = _status("VmRSS:")
    rehearse()
    before = _status("VmRSS:")
    try:
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")  # Nor is what has been given back by now.
    except OSError:
        pass
    try:
        run = build()
    except Unsupported as why:
        print(json.dumps({"unsupported": str(why)}), file=answers)
        return
    start, runs = time.perf_counter(), 0
    while runs < 2 or (runs < 50 and time.perf_counter() - start < 0.5):
        run()
        finish()
        runs += 1
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        times = []
        for _ in range(int(line.split()[1])):
            start = time.perf_counter()
            run()
            finish()
            times.append((time.perf_counter() - start) * 1e3)
        peak = _status("VmHWM:")
        growth = {"peak_bytes": peak - before, "peak_since_imports_bytes": peak - imported} if peak is not None else {"peak_bytes": None}
        print(json.dumps({"times_ms": times, **growth}), file=answers)
