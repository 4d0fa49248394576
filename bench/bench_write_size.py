#!/usr/bin/env python3
"""How large the same rows are in a file of rrdkit, of the official SDK (rows as they come) and of MCAP, each with its codecs.

usage: bench_write_size.py [--full] [--json] [--runs=N] [--directory=DIR] BIN"""
import math
import os
import struct
import subprocess
import sys
import tempfile

from bench_write_peers import rows_data
from telling import options_of, tell

POINTS = 100


def values(kind, row, data):
    """What bench-kinds logs, as the SDK's archetype takes it."""
    if kind == "random":
        return struct.unpack("<8d", data[row * 64 % (1 << 20) :][:64])
    if kind == "scalar":
        return (math.sin(row * 0.001),)
    if kind == "text":
        return f"joint {row % 7} reached its target after {row * 31 % 1000} ms"
    return [(math.sin(row * 0.01 + i), math.cos(row * 0.01 + i), i) for i in range(POINTS)]


def packed(kind, row, data):
    """The same as plain bytes."""
    value = values(kind, row, data)
    if kind == "text":
        return value.encode()
    if kind == "points":
        return b"".join(struct.pack("<3f", *point) for point in value)
    return struct.pack(f"<{len(value)}d", *value)


def rerun_file(path, kind, rows, data):
    import rerun

    make = {"random": rerun.Scalars, "scalar": rerun.Scalars, "points": rerun.Points3D, "text": lambda text: rerun.TextLog(text, level="INFO")}[kind]
    with rerun.RecordingStream("bench") as stream:
        stream.save(path)
        for row in range(rows):
            stream.set_time("frame", sequence=row)
            stream.log("bench/e0", make(values(kind, row, data)))
        stream.disconnect()


def mcap_file(path, kind, rows, data, compression):
    from mcap.writer import CompressionType, Writer

    with open(path, "wb") as file:
        writer = Writer(file, compression=CompressionType[compression])
        writer.start()
        channel = writer.register_channel("/bench/e0", "raw", writer.register_schema("bytes", "raw", b""))
        for row in range(rows):
            stamp = 1_700_000_000_000_000_000 + row * 1000
            writer.add_message(channel, stamp, packed(kind, row, data), stamp, row)
        writer.finish()


def main():
    options = options_of(__doc__)
    data = rows_data()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        os.chdir(directory)
        for kind, count in (("random", 50000), ("scalar", 50000), ("text", 50000), ("points", 2000)):
            rows = count * (10 if options.full else 1)
            sizes = {}
            for name in ("own.rrd", "own.rrd.zst"):
                subprocess.run([f"{options.bin}/bench-kinds", name, kind, str(rows)], check=True)
                sizes[name] = os.path.getsize(name) / rows
                os.unlink(name)  # it would be joined
            rerun_file("rerun.rrd", kind, rows, data)
            sizes["rerun"] = os.path.getsize("rerun.rrd") / rows
            for compression in ("NONE", "LZ4", "ZSTD"):
                mcap_file("rows.mcap", kind, rows, data, compression)
                sizes[compression] = os.path.getsize("rows.mcap") / rows
            own, zst = [sizes["own.rrd"]], [sizes["own.rrd.zst"]]
            tell(options, "write_size", f"{kind}: run.rrd", "B/row", own, "official SDK", [sizes["rerun"]], at_most=1)
            tell(options, "write_size", f"{kind}: run.rrd.zst", "B/row", zst, "official SDK", [sizes["rerun"]], at_most=0.7)
            for compression in ("NONE", "LZ4", "ZSTD"):
                tell(options, "write_size", f"{kind}: run.rrd", "B/row", own, f"MCAP, {compression.lower()}", [sizes[compression]])
            tell(options, "write_size", f"{kind}: run.rrd.zst", "B/row", zst, "MCAP, zstd", [sizes["ZSTD"]])
        os.chdir("/")
    return 0 if options.met else 1


if __name__ == "__main__":
    sys.exit(main())
