#!/usr/bin/env python3
"""strace as the judge: no system call on the logging path, one write per record, every record a multiple of 128 bytes."""

import os
import re
import subprocess
import sys
import tempfile

bin_dir = sys.argv[1]
failures = []


def check(condition, what):
    print(("ok   " if condition else "FAIL ") + what)
    if not condition:
        failures.append(what)


def trace(directory, command, options):
    """Runs `command` under strace; returns the lines "pid call(args) = result" of every thread and process."""
    log = os.path.join(directory, "strace")
    subprocess.run(["strace", "-f", "-y", "-s", "0", "-o", log, *options, *command], check=True, timeout=300)
    with open(log, encoding="utf-8", errors="replace") as lines:
        return lines.read().splitlines()


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "quiet.rrd")
    lines = trace(directory, [os.path.join(bin_dir, "log_quiet"), path], [])
    markers = [i for i, line in enumerate(lines) if " getppid(" in line]
    check(len(markers) == 2, "log_quiet shows its two markers")
    thread = lines[markers[0]].split()[0]
    between = [line for line in lines[markers[0] + 1 : markers[1]] if line.split()[0] == thread]
    check(between == [], f"40,000 calls between the markers make no system call (saw {between[:3]})")

with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "stress.rrd")
    lines = trace(
        directory,
        [os.path.join(bin_dir, "log_stress"), path, "3", "3", "2000", "16", "16384"],
        ["-e", "trace=write,writev,pwrite64,pwritev,pwritev2"],
    )
    # An interrupted trace line ("<unfinished ...>") is completed by its "resumed" line; the descriptor is on the first.
    pending, writes = {}, []
    for line in lines:
        thread, call = line.split(None, 1)
        resumed = re.search(r"<\.\.\. (\w+) resumed>.*= (-?\d+)", call)
        if resumed and thread in pending:
            writes.append((*pending.pop(thread), int(resumed[2])))
            continue
        begun = re.match(r"(\w+)\(\d+<([^>]*)>", call)
        if not begun:
            continue
        name, target = begun[1], begun[2].replace(" (deleted)", "")
        if "<unfinished" in call:
            pending[thread] = (name, target)
        else:
            result = re.search(r"= (-?\d+)", call)
            writes.append((name, target, int(result[1])))
    records = [(name, size) for name, target, size in writes if target == os.path.realpath(path)]
    size = os.path.getsize(path)
    header = size - sum(written for _, written in records)
    check(len(records) > 9, f"{len(records)} records were appended")
    check(all(name in ("write", "writev") for name, _ in records), "each by write or writev on the O_APPEND descriptor")
    check(all(written > 0 and written % 128 == 0 for _, written in records), "each whole and a multiple of 128 bytes")
    check(all(written <= 1 << 20 for _, written in records), "each at most 1 MiB")
    check(0 < header < 4096 and header % 128 == 0, f"nothing else was written but the creator's {header} bytes")

    # Every record must begin and end at a frame's edge: walking the file by its frame lengths must visit each record's start.
    edges = set()
    with open(path, "rb") as file:
        data = file.read()
    offset = 12
    while offset < len(data):
        edges.add(offset)
        offset += 16 + int.from_bytes(data[offset + 8 : offset + 16], "little")
    check(offset == len(data), "the frames fill the file to its end")
    sizes = sorted(written for _, written in records)
    check(sum(sizes) + header == len(data), "records and header are the whole file")
    check(header in edges, "the first record begins at a frame's edge")

sys.exit(1 if failures else 0)
