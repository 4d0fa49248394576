#!/usr/bin/env python3
"""How late the rows of `rrd-replay -o -` come at speed 1, and what a large recording costs.

    bench/replay_pacing.py BIN_DIRECTORY [FILE]    (a build with tests: log_scale makes the recordings)

Lateness: from when a chunk's first row is due, by its log_time after that of the first row of all, to when its last
byte was read here. Then, of FILE or a gigabyte in FILE's stead: time to the first bytes of the page's stream, and the
most memory resident while all of it goes out (VmHWM)."""

import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "oracle"))
from rrdfile import ARROW_MSG, Chunk

SECONDS = 20


def most_memory(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def read_frames(pipe):
    """(time read, kind, payload) of each frame, as it comes."""
    def exactly(size):
        data = pipe.read(size)
        return data if len(data) == size else None
    exactly(12)
    while (header := exactly(16)) is not None:
        kind, size = struct.unpack("<QQ", header)
        payload = exactly(size)
        yield time.monotonic_ns(), kind, payload


def pacing(bin_directory, work):
    run = work / "paced.rrd"
    rows = SECONDS * 1000
    subprocess.run([bin_directory / "log_scale", run, "writers=4", f"chunks={rows // 4 // 50}", "rows=50", "entities=4", "bytes=64", "step=1000000"], check=True)
    replay = subprocess.Popen([bin_directory / "rrd-replay", "-q", "--no-follow", "-o", "-", run], stdout=subprocess.PIPE)
    seen = []
    for at, kind, payload in read_frames(replay.stdout):
        if kind == ARROW_MSG:
            seen.append((at, payload))
    replay.wait()
    keys = []
    for at, payload in seen:
        chunk = Chunk(payload)
        times = chunk.batch.column("log_time").cast("int64").to_pylist() if "log_time" in chunk.batch.schema.names else [0]
        keys.append((at, min(times), max(times)))
    begin = min(first for _, first, _ in keys)
    start = min(at - (first - begin) for at, first, _ in keys)  # the promptest of all is taken as on time
    late = sorted((at - start - (first - begin)) / 1e6 for at, first, _ in keys)
    print(f"pacing: {len(late)} chunks in {(max(last for _, _, last in keys) - begin) / 1e9:.1f} s: late by p50 {statistics.median(late):.2f} ms, "
          f"p99 {late[int(0.99 * len(late))]:.2f} ms, at most {late[-1]:.2f} ms")


def large(bin_directory, work, file):
    if file is None:
        file = work / "large.rrd"
        subprocess.run([bin_directory / "log_scale", file, "writers=8", "chunks=500", "rows=250", "entities=10", "bytes=1024", "step=1000", "random=16"], check=True)
        os.utime(file, (0, 0))  # nobody can be writing it
    size = os.path.getsize(file) / 2**20
    viewer = work / "viewer"
    viewer.mkdir()
    for name in ("index.js", "re_viewer.js", "re_viewer_bg.wasm", "package.json"):
        (viewer / name).write_text("x")
    for arguments in ([], ["--window", "1s"]):
        began = time.monotonic()
        replay = subprocess.Popen([bin_directory / "rrd-replay", "-q", "--no-browser", "--viewer", viewer, "--speed", "max", *arguments, file],
                                  stdout=subprocess.PIPE, text=True)
        url = replay.stdout.readline().strip()
        served = time.monotonic() - began
        urllib.request.urlopen(url + "control", b"play").read()
        with urllib.request.urlopen(url + "data/0.rrd") as data:
            got = len(data.read(65536))
            first = time.monotonic() - began
            while block := data.read(1 << 20):
                got += len(block)
        memory = most_memory(replay.pid)
        replay.terminate()
        replay.wait()
        print(f"{size:.0f} MiB {' '.join(arguments)}: page after {served:.2f} s, first 64 KiB of rows after {first:.2f} s, "
              f"{got / 2**20:.0f} MiB in {time.monotonic() - began:.1f} s, {memory:.1f} MiB resident at most", flush=True)


def main():
    bin_directory = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="rrdkit-pacing-", dir="/var/tmp") as work:
        pacing(bin_directory, Path(work))
        large(bin_directory, Path(work), Path(sys.argv[2]) if len(sys.argv) > 2 else None)


main()
