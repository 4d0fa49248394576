#!/usr/bin/env python3
"""rrdkit beside what else logs rows of 64 bytes: time of a call in bursts and sustained, and rows a second until all are in the page cache.

usage: bench_write_peers.py [--full] [--json] [--runs=N] [--directory=DIR] [--peers=DIR] BIN
Python needs rerun-sdk, mcap and lz4. DIR holds the programs of bench/peers that could be built; without it only packages of Python
are peers."""
import array
import json
import os
import sys
import tempfile
import time

from lttng import Lttng
from telling import options_of, peer_of, run_program, tell

BURSTS, BURST, DATA = 20, 1000, 1 << 20


def rows_data():
    """As rows_fill in bench/peers/rows.h."""
    state, data = 88172645463325252, bytearray(DATA + 64)
    for i in range(len(data)):
        state ^= (state << 13) & (1 << 64) - 1
        state ^= state >> 7
        state ^= (state << 17) & (1 << 64) - 1
        data[i] = state >> 32 & 255 if i % 16 < 8 else i // 16 % 3
    return bytes(data)


def measure(rows, log, rest, finish):
    """A peer in Python, in this process: the same as the programs do."""
    data = rows_data()
    bursts = []
    for _ in range(BURSTS):
        rest()
        begin = time.monotonic()
        for i in range(BURST):
            log(i * 64 % DATA, data)
        bursts.append(time.monotonic() - begin)
    begin, cpu = time.monotonic(), time.process_time()
    for i in range(rows):
        log(i * 64 % DATA, data)
    called = time.monotonic() - begin
    finish()
    print(json.dumps(dict(call_ns=sorted(bursts)[BURSTS // 2] / BURST * 1e9, sustained_ns=called / rows * 1e9, rows=rows, seconds=time.monotonic() - begin,
                          cpu_seconds=time.process_time() - cpu)))


def rerun_log(path, rows):
    import numpy
    import rerun

    stream = rerun.RecordingStream("bench")
    stream.save(path)
    numbers = numpy.frombuffer(rows_data(), dtype=numpy.float64)
    measure(rows, lambda at, _: stream.log("bench/e0", rerun.Scalars(numbers[at // 8 : at // 8 + 8])), stream.flush, stream.flush)


def rerun_columns(path, rows):
    """All rows in one call, which is what the SDK advises for data that is there already: no row is logged as it comes."""
    import numpy
    import rerun

    stream = rerun.RecordingStream("bench")
    stream.save(path)
    numbers = numpy.resize(numpy.frombuffer(rows_data(), dtype=numpy.float64)[: DATA // 8], rows * 8)
    begin, cpu = time.monotonic(), time.process_time()
    for first in range(0, rows, 100000):
        count = min(100000, rows - first)
        stream.send_columns("bench/e0", [rerun.TimeColumn("row", sequence=numpy.arange(first, first + count))],
                            rerun.Scalars.columns(scalars=numbers[first * 8 : (first + count) * 8]).partition([8] * count))
    stream.flush()
    print(json.dumps(dict(call_ns=0, rows=rows, seconds=time.monotonic() - begin, cpu_seconds=time.process_time() - cpu)))


def mcap_log(path, rows):
    from mcap.writer import CompressionType, Writer

    with open(path, "wb") as file:
        writer = Writer(file, compression=CompressionType.LZ4)
        writer.start()
        channel = writer.register_channel("/bench/e0", "raw", writer.register_schema("bytes", "raw", b""))

        def log(at, data):
            now = time.time_ns()
            writer.add_message(channel, now, data[at : at + 64], now)

        measure(rows, log, lambda: None, lambda: (writer.finish(), file.flush()))


def program(words, path, *more, **environment):
    """Of rows and a thread count, what the peer tells; its file is removed."""
    def peer(rows, threads):
        told = run_program([*words, path, str(rows), str(threads), *more], env={**os.environ, **environment})
        os.unlink(path)
        return told

    return peer


def main():
    options = options_of(__doc__)
    peers = []  # name, run, rows at scale 1, threads, and how many times we are asked to be ahead with a call, and with rows a second
    lttng = None
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        os.chdir(directory)
        if rust := peer_of(options, "peer-rust"):
            peers.append(("Rerun SDK, Rust", program([rust, "rerun"], "peer.rrd"), 200_000, (1, 10), 20, 5, "LZ4"))
            peers.append(("MCAP, Rust", program([rust, "mcap"], "peer.mcap"), 1_000_000, (1, 10), 1, 1, "none"))
            peers.append(("MCAP, Rust, LZ4", program([rust, "mcap-lz4"], "peer.mcap"), 1_000_000, (1, 10), 1, 1, "LZ4"))
            peers.append(("MCAP, Rust, zstd", program([rust, "mcap-zstd"], "peer.mcap"), 1_000_000, (1, 10), 1, 1, "zstd"))
        if spdlog := peer_of(options, "peer-spdlog"):
            peers.append(("spdlog, asynchronous", program([spdlog], "peer.txt"), 1_000_000, (1, 10), 1, 1, "none"))
        if events := peer_of(options, "peer-lttng"):
            try:
                lttng = Lttng(events)
                peers.append(("LTTng-UST", lttng.run, 1_000_000, (1, 10), 1, 1, "none"))
            except OSError as error:
                print(f"bench_write_peers: without LTTng: {error}", file=sys.stderr)
        python = [sys.executable, SELF, "--peer"]
        peers.append(("Rerun SDK, Python", program([*python, "rerun"], "peer.rrd"), 20_000, (1,), 20, 5, "LZ4"))
        peers.append(("Rerun SDK, Python, send_columns", program([*python, "columns"], "peer.rrd"), 1_000_000, (1,), None, None, "LZ4"))
        peers.append(("MCAP, Python, LZ4", program([*python, "mcap"], "peer.mcap"), 100_000, (1,), 1, 1, "LZ4"))
        rrdkit = [f"{options.bin}/peer-rrdkit"]
        for codec, more in (("none", ["none"]), ("LZ4", [])):
            peers.append(("rrdkit, TSC", program(rrdkit, "peer.rrd", *more, RRDKIT_CLOCK="tsc"), 2_000_000, (1, 10), None, None, codec))
        own = {"none": program(rrdkit, "own.rrd", "none"), "LZ4": program(rrdkit, "own.rrd"), "zstd": program(rrdkit, "own.rrd.zst")}
        try:
            for name, peer, rows, counts, call_asked, rate_asked, codec in peers:
                for threads in counts:
                    mine, theirs = [], []
                    for _ in range(options.runs):
                        mine.append(own[codec](2_000_000 * (5 if options.full else 1), threads))
                        theirs.append(peer(rows * (5 if options.full else 1), threads))
                    what = f"64 B, {codec}, {threads} thread{'s' if threads > 1 else ''}"
                    if theirs[0]["call_ns"]:
                        tell(options, "write_peers", f"{what}: call in bursts", "ns", [r["call_ns"] for r in mine], name,
                             [r["call_ns"] for r in theirs], at_most=1 / call_asked if call_asked else None)
                        tell(options, "write_peers", f"{what}: call, sustained", "ns", [r["sustained_ns"] for r in mine], name,
                             [r["sustained_ns"] for r in theirs])
                    tell(options, "write_peers", f"{what}: rows to disk", "M rows/s", [r["rows"] / r["seconds"] / 1e6 for r in mine], name,
                         [r["rows"] / r["seconds"] / 1e6 for r in theirs], at_least=rate_asked)
        finally:
            if lttng:
                lttng.end()
            os.chdir("/")
    return 0 if options.met else 1


SELF = os.path.abspath(__file__)
if __name__ != "__main__":
    pass  # bench_write_size.py takes rows_data
elif len(sys.argv) > 1 and sys.argv[1] == "--peer":
    {"rerun": rerun_log, "columns": rerun_columns, "mcap": mcap_log}[sys.argv[2]](sys.argv[3], int(sys.argv[4]))
else:
    sys.exit(main())
