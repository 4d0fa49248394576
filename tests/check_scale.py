#!/usr/bin/env python3
"""Recordings of extreme shapes, made by log_scale: the tools give all rows in order, within the memory they may take."""
import filecmp
import hashlib
import json
import os
import subprocess
import sys
import tempfile

BIN = os.path.abspath(sys.argv[1])
DUMP, MERGE, CHECK, LOG = (os.path.join(BIN, name) for name in ("rrd-dump", "rrd-merge", "rrd-check", "log_scale"))
MIB = 1 << 20
MEMORY = 32 * MIB
SLACK = 40 * MIB  # the program itself, the index, what is being read, decoded and written
GATHER = 128 * MIB  # what merging gathers for the chunks to be: the result must not depend on MEMORY, so neither does this

# name, what log_scale is told, memory beyond MEMORY + SLACK that one row justifies
SHAPES = (
    ("tiny chunks", dict(writers=8, chunks=5000, entities=5), 0),
    ("many entities", dict(chunks=20000, entities=10000, overlap=10000, rows=4), 0),
    ("many writers", dict(writers=1000, chunks=8, rows=16, entities=2, overlap=2), 0),
    ("reverse timeline", dict(writers=4, chunks=50, rows=200, entities=5, overlap=5, reverse=True), 0),
    ("equal times", dict(writers=16, chunks=20, rows=300, entities=4, overlap=4, step=0), 0),
    ("all chunks overlap", dict(chunks=1000, rows=150, overlap=1000, entities=50, bytes=600), 0),
    ("all chunks of all writers overlap", dict(writers=20, chunks=30, rows=100, overlap=30, entities=3, bytes=1500), 0),
    # The last: its line makes this process large, and a child begins with its parent's peak.
    ("one large row", dict(bytes=64 * MIB, random=2), 8 * 64 * MIB),
)


def run(*command, limit, stdout):
    """Runs it, asserts success and its peak resident memory, which wait4 tells; it is at least this process's own, which
    therefore must stay small."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
    told = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0 and told == "", f"{command}: exit {process.returncode}: {told}"
    peak = usage.ru_maxrss * 1024
    assert peak <= limit, f"{command}: {peak / MIB:.0f} MiB resident, of {limit / MIB:.0f}"
    return peak


def rows_of(path, *options, limit):
    """Count and digest of the printed rows, whose order is checked."""
    command = [DUMP, "-F", "ndjson", f"--max-memory={MEMORY}", *options, path]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=MIB)
    digest, count, last = hashlib.sha256(), 0, ()
    for line in process.stdout:
        count += 1
        digest.update(line)
        head = json.loads(line[: line.index(b',"components":')] + b"}")
        times = head["timelines"]
        key = (times["frame"],) if options else ()
        key += (times["log_time"], head["row_id"])
        assert last <= key, f"{path}: {key} comes after {last}"
        last = key
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command}: exit {process.returncode}"
    peak = usage.ru_maxrss * 1024
    assert peak <= limit, f"{command}: {peak / MIB:.0f} MiB resident, of {limit / MIB:.0f}"
    return count, digest.hexdigest(), peak


def judge(name, shape, extra):
    words = [key if value is True else f"{key}={value}" for key, value in shape.items()]
    subprocess.run([LOG, "a.rrd", *words], check=True)
    limit = MEMORY + SLACK + extra
    expected = shape.get("writers", 1) * shape.get("chunks", 1) * shape.get("rows", 1)
    chunks = shape.get("writers", 1) * shape.get("chunks", 1)

    count, digest, dump_peak = rows_of("a.rrd", limit=limit)
    assert count == expected, f"{name}: {count} rows, not {expected}"
    if shape.get("reverse"):
        again, reversed_digest, _ = rows_of("a.rrd", "--timeline=frame", limit=limit)
        assert again == expected and reversed_digest != digest, f"{name}: {again} rows on the timeline"
    with open("info.json", "wb") as out:
        info_peak = run(DUMP, "--info", "--json", "a.rrd", limit=limit, stdout=out)
    total = json.load(open("info.json"))["total"]
    assert (total["rows"], total["chunks"]) == (expected, chunks), f"{name}: {total}"
    with open("check.json", "wb") as out:
        check_peak = run(CHECK, "--json", "a.rrd", limit=limit, stdout=out)
    verdict = json.load(open("check.json"))
    assert verdict["verdict"] == "sound" and verdict["rows"] == expected, f"{name}: {verdict}"
    merge_peak = run(MERGE, f"--max-memory={MEMORY}", "-o", "b.rrd", "--report=report.json", "a.rrd", limit=limit + GATHER,
                     stdout=subprocess.DEVNULL)
    report = json.load(open("report.json"))
    assert report["output"]["rows"] == expected and report["output"]["size"] == os.stat("b.rrd").st_size, report
    assert rows_of("b.rrd", limit=limit)[:2] == (count, digest), f"{name}: the merged rows are others"
    run(CHECK, "-q", "b.rrd", limit=limit, stdout=subprocess.DEVNULL)
    run(MERGE, f"--max-memory={2 * MEMORY}", "-o", "c.rrd", "b.rrd", "a.rrd", limit=limit + MEMORY + GATHER, stdout=subprocess.DEVNULL)
    assert filecmp.cmp("c.rrd", "b.rrd", shallow=False), f"{name}: merging again, with more memory, differs"
    assert not [f for f in os.listdir() if f.startswith(".")], os.listdir()
    peaks = ", ".join(f"{what} {peak / MIB:.0f}" for what, peak in
                      (("dump", dump_peak), ("info", info_peak), ("check", check_peak), ("merge", merge_peak)))
    print(f"{name}: {expected} rows in {chunks} chunks, {os.stat('a.rrd').st_size / MIB:.0f} MiB; MiB resident: {peaks}; "
          f"{report['spilled_size'] / MIB:.0f} MiB sorted on disk", flush=True)


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for name, shape, extra in SHAPES:
            if len(sys.argv) < 3 or sys.argv[2] in name:
                judge(name, shape, extra)
        os.chdir("/")


main()
