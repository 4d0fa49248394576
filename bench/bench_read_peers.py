#!/usr/bin/env python3
"""Reading and printing rows of 64 bytes beside what reads and prints such rows of other software: babeltrace2 (traces of LTTng-UST),
`rerun rrd print` and the mcap crate and package.

usage: bench_read_peers.py [--full] [--json] [--runs=N] [--directory=DIR] [--peers=DIR] BIN
Python needs rerun-sdk, mcap and lz4. DIR holds the programs of bench/peers that could be built; without it only packages of Python
are peers."""
import os
import shutil
import subprocess
import sys
import tempfile

from bench_write_peers import BURST, BURSTS, rows_data
from lttng import Lttng
from telling import options_of, peer_of, run_measured, tell


def mcap_write(path, rows):
    from mcap.writer import CompressionType, Writer

    data = rows_data()
    with open(path, "wb") as file:
        writer = Writer(file, compression=CompressionType.LZ4)
        writer.start()
        channel = writer.register_channel("/bench/e0", "raw", writer.register_schema("bytes", "raw", b""))
        for row in range(rows):
            at = row * 64 % (1 << 20)
            writer.add_message(channel, row, data[at : at + 64], row)
        writer.finish()


def mcap_read(path):
    from mcap.reader import make_reader

    with open(path, "rb") as file:
        print(sum(len(message.data) for _, _, message in make_reader(file).iter_messages()))


def trace(program, rows):
    """Logs rows with LTTng-UST; the number of events in ./trace, or None."""
    if not program or not shutil.which("babeltrace2"):
        return None
    try:
        session = Lttng(program)
    except OSError:
        return None
    try:
        session.record("trace", rows, 1)
        return rows + BURSTS * BURST
    finally:
        session.end()


def beside(options, what, our_rows, ours, name, their_rows, theirs):
    """Two programs by turns."""
    mine, others = [], []
    for _ in range(options.runs):
        mine.append(ours())
        others.append(theirs())
    tell(options, "read_peers", what, "M rows/s", [our_rows / r[0] / 1e6 for r in mine], name, [their_rows / r[0] / 1e6 for r in others],
         at_least=1)
    tell(options, "read_peers", f"{what}: memory", "MiB", [r[1] / (1 << 20) for r in mine], name, [r[1] / (1 << 20) for r in others])


def main():
    options = options_of(__doc__)
    scale = 5 if options.full else 1
    rows, few = 1_000_000 * scale, 100_000 * scale
    rerun = os.path.join(os.path.dirname(sys.executable), "rerun")
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        os.chdir(directory)
        subprocess.run([f"{options.bin}/bench-kinds", "numbers.rrd", "random", str(rows)], check=True)
        subprocess.run([f"{options.bin}/bench-kinds", "few.rrd", "random", str(few)], check=True)
        subprocess.run([f"{options.bin}/log_scale", "bytes.rrd", "writers=1", "entities=1", "overlap=1", "bytes=64", "rows=1000",
                        f"chunks={rows // 1000}", "step=1000"], check=True)

        def iterate():
            return run_measured(options, ["bench-iterate", "numbers.rrd"])

        if events := trace(peer_of(options, "peer-lttng"), few):
            beside(options, "rrd-dump, every byte as a number", rows, lambda: run_measured(options, ["rrd-dump", "--full", "bytes.rrd"], "rows.txt"),
                   "babeltrace2", events, lambda: run_measured(options, ["babeltrace2", "trace"], "rows.txt"))
            beside(options, "rk_reader_next", rows, iterate, "babeltrace2, dummy sink", events,
                   lambda: run_measured(options, ["babeltrace2", "trace", "-o", "dummy"]))
        beside(options, "rrd-dump, 8 numbers", rows, lambda: run_measured(options, ["rrd-dump", "numbers.rrd"], "rows.txt"), "rerun rrd print", few,
               lambda: run_measured(options, [rerun, "rrd", "print", "-vvv", "few.rrd"], "rows.txt"))
        beside(options, "rrd-check", rows, lambda: run_measured(options, ["rrd-check", "numbers.rrd"]), "rerun rrd verify", rows,
               lambda: run_measured(options, [rerun, "rrd", "verify", "numbers.rrd"]))
        beside(options, "rrd-dump --info", rows, lambda: run_measured(options, ["rrd-dump", "--info", "numbers.rrd"]), "rerun rrd stats", rows,
               lambda: run_measured(options, [rerun, "rrd", "stats", "numbers.rrd"]))
        mcap_write("few.mcap", few)
        if mcap_crate := peer_of(options, "mcap_read"):
            beside(options, "rk_reader_next", rows, iterate, "MCAP, Rust", few * 10, lambda: run_measured(options, [mcap_crate, *["few.mcap"] * 10]))
        beside(options, "rk_reader_next", rows, iterate, "MCAP, Python", few,
               lambda: run_measured(options, [sys.executable, SELF, "--read-mcap", "few.mcap"]))
        os.chdir("/")
    return 0 if options.met else 1


SELF = os.path.abspath(__file__)
if len(sys.argv) > 1 and sys.argv[1] == "--read-mcap":
    mcap_read(sys.argv[2])
else:
    sys.exit(main())
