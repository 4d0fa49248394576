#!/usr/bin/env python3
"""Peers merging the same messages: `rerun rrd merge` (rerun-sdk), the mcap crate (bench/peers/rust) and the mcap package
of Python. Time and peak memory.

usage: bench_merge_peers.py [--full] [--json] [--runs=N] [--directory=DIR] [--peers=DIR] BIN
Python needs rerun-sdk, mcap and lz4."""
import heapq
import os
import subprocess
import sys
import tempfile

from telling import options_of, peer_of, run_measured, tell

FILES, ROW = 4, 100


def mcap_write(path, first, rows):
    from mcap.writer import CompressionType, Writer

    with open(path, "wb") as file:
        writer = Writer(file, compression=CompressionType.LZ4)
        writer.start()
        schema = writer.register_schema("bytes", "raw", b"")
        channels = [writer.register_channel(f"/e{i}", "raw", schema) for i in range(4)]
        body = bytes(i % 251 if i % 16 < 8 else 0 for i in range(ROW))
        for n in range(rows):
            stamp = n * FILES + first
            writer.add_message(channels[n % 4], stamp, stamp.to_bytes(8, "little") + body[8:], stamp, n)
        writer.finish()


def mcap_merge(paths, out):
    from mcap.reader import make_reader
    from mcap.writer import CompressionType, Writer

    with open(out, "wb") as file:
        writer = Writer(file, compression=CompressionType.LZ4)
        writer.start()
        schemas, channels = {}, {}
        streams = [make_reader(open(path, "rb")).iter_messages() for path in paths]
        for schema, channel, message in heapq.merge(*streams, key=lambda triple: triple[2].log_time):
            if channel.topic not in channels:
                known = schemas.setdefault(schema.name, None) or writer.register_schema(schema.name, schema.encoding, schema.data)
                schemas[schema.name] = known
                channels[channel.topic] = writer.register_channel(channel.topic, channel.message_encoding, known)
            writer.add_message(channels[channel.topic], message.log_time, message.data, message.publish_time, message.sequence)
        writer.finish()


def main():
    options = options_of(__doc__)
    rows = 1_000_000 if options.full else 100_000  # of each file
    rerun = os.path.join(os.path.dirname(sys.executable), "rerun")
    peers = [("rerun rrd merge", lambda: run_measured(options, [rerun, "rrd", "merge", *rrds], "out.rrd"))]
    if mcap_crate := peer_of(options, "mcap_merge"):
        peers.append(("MCAP, Rust", lambda: run_measured(options, [mcap_crate, "out.mcap", *mcap_names])))
    peers.append(("MCAP, Python", lambda: run_measured(options, [sys.executable, SELF, "--merge-mcap", *mcap_names])))
    rrds = [f"{i}.rrd" for i in range(FILES)]
    mcap_names = [f"{i}.mcap" for i in range(FILES)]
    ours, theirs = [], [[] for _ in peers]
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        os.chdir(directory)
        for i in range(FILES):
            subprocess.run([f"{options.bin}/log_scale", rrds[i], f"from={i}", f"chunks={rows // 1000}", "rows=1000", "entities=4",
                            "overlap=4", f"bytes={ROW}", f"step={FILES}"], check=True)
            mcap_write(mcap_names[i], i, rows)
        for _ in range(options.runs):
            ours.append(run_measured(options, [f"{options.bin}/rrd-merge", "-q", "--force", "-o", "-", *rrds], "out.rrd"))
            for series, (_, merge) in zip(theirs, peers):
                series.append(merge())
        os.chdir("/")
    size = FILES * rows * ROW / 1e6
    for series, (name, _) in zip(theirs, peers):
        tell(options, "merge_peers", "rrd-merge, rows of 100 bytes", "MB/s", [size / r[0] for r in ours], name, [size / r[0] for r in series], at_least=1)
        tell(options, "merge_peers", "rrd-merge, rows of 100 bytes: memory", "MiB", [r[1] / (1 << 20) for r in ours], name, [r[1] / (1 << 20) for r in series])


SELF = os.path.abspath(__file__)
if len(sys.argv) > 1 and sys.argv[1] == "--merge-mcap":
    mcap_merge(sys.argv[2:], "out.mcap")
else:
    main()
