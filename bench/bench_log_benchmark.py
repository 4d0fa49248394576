#!/usr/bin/env python3
"""The work list of the official repository's own log_benchmark into a file: rrdkit beside the official SDKs of Rust and Python.

usage: bench_log_benchmark.py [--full] [--json] [--runs=N] [--directory=DIR] [--peers=DIR] BIN
Python needs rerun-sdk. DIR holds the programs of bench/peers that could be built."""
import json
import os
import sys
import tempfile
import time

from telling import options_of, peer_of, run_program, tell

# Name, whether it is of few large rows, count, with --full, and of Python, which its own benchmark asks less of too. The counts of
# --full are log_benchmark's, but: a grid of boxes is logged ten times, because once is over before it can be timed, and an image has 16000
# pixels a side in 16384's stead, because a row of rrdkit is smaller than 1 GiB.
WORKS = [
    ("points3d_many_individual", False, 1_000_000, 1_000_000, 0.1),
    ("transform3d", False, 10_000, 10_000, 0.1),
    ("scalars", False, 1_000, 1_000, 0.05),
    ("points3d_large_batch", True, 5_000_000, 50_000_000, 1),
    ("boxes3d", True, 10, 10, 1),
    ("image", True, 4096, 16000, 1),
]


def numbers(state, count):
    """The next `count` of the generator after `state`: twice as many at each step."""
    import numpy

    factor, term = 1140671485, 128201163
    values = numpy.array([(factor * state + term) % 16777216], dtype=numpy.int64)
    while len(values) < count:
        values = numpy.concatenate([values, (factor * values + term) % 16777216])
        factor, term = factor * factor % 16777216, (factor * term + term) % 16777216
    return values[:count]


def rows_of(work, count):
    """What bench/peers/log_benchmark.c logs: bytes of payload, and calls that make (entity, timeline, time, archetype) of each row."""
    import numpy
    import rerun

    if work.startswith("points3d"):
        made = numbers(42 if work == "points3d_large_batch" else 1337, 5 * count)
        positions = made[: 3 * count].reshape(count, 3).astype(numpy.float32)
        colors, radii = made[3 * count : 4 * count].astype(numpy.uint32), made[4 * count :].astype(numpy.float32)
        if work == "points3d_large_batch":
            return count * 20, [lambda: ("large_batch", None, 0, rerun.Points3D(positions, colors=colors, radii=radii, labels="some label"))]
        return count * 20, (
            lambda i=i: ("single_point", "my_timeline", i, rerun.Points3D(positions[i], colors=colors[i], radii=radii[i])) for i in range(count)
        )
    if work == "transform3d":
        made = (numbers(12345, count * 120) % 1000).astype(numpy.float32).reshape(count * 10, 12)
        translations, matrices = made[:, :3] / 100, (made[:, 3:] / 500 - 1).reshape(-1, 3, 3)
        return count * 480, (
            lambda i=i: (f"transform_{i % 10}", "frame", i // 10, rerun.Transform3D(translation=translations[i], mat3x3=matrices[i]))
            for i in range(count * 10)
        )
    if work == "scalars":
        steps = numpy.zeros((count, 600))
        steps[1:] = (numbers(42, (count - 1) * 600) / 16777216 * 0.2 - 0.1).reshape(-1, 600)
        values = steps.cumsum(axis=0).ravel()
        return count * 4800, (lambda i=i: (f"scalar_{i % 600}", "frame", i // 600, rerun.Scalars(values[i])) for i in range(count * 600))
    if work == "boxes3d":
        x, y = numpy.meshgrid(numpy.arange(200), numpy.arange(200), indexing="ij")
        heights = numpy.round(10 + 10 * (numpy.sin((x + y).astype(numpy.float32) * numpy.float32(0.1)) + 1) / 2)
        z = numpy.arange(20)
        centers = numpy.argwhere(z[None, None, :] < heights[:, :, None]).astype(numpy.float32)
        boxes = lambda: rerun.Boxes3D.from_fields(half_sizes=[[0.5, 0.5, 0.5]], centers=centers, fill_mode="solid")
        return count * centers.nbytes, [lambda: ("large_batch", None, 0, boxes())] * count
    pixels = numpy.ones((count, count, 4), dtype=numpy.uint8)

    def changed(i):
        pixels[0, 0, i] += 1
        return "test_image", None, 0, rerun.Image(pixels, color_model="RGBA")

    return 4 * count * count * 4, [lambda i=i: changed(i) for i in range(4)]


def log(path, work, count):
    """As the SDK's own benchmark in Python logs: a call with an archetype per row."""
    import rerun

    stream = rerun.RecordingStream("log_benchmark")
    stream.save(path)
    size, rows = rows_of(work, count)
    logged = 0
    begin, cpu = time.monotonic(), time.process_time()
    for make in rows:
        entity, timeline, at, archetype = make()
        if timeline:
            stream.set_time(timeline, sequence=at)
        stream.log(entity, archetype)
        logged += 1
    called = time.monotonic() - begin
    stream.flush()
    print(json.dumps(dict(call_seconds=called, seconds=time.monotonic() - begin, cpu_seconds=time.process_time() - cpu, rows=logged, bytes=size)))


def run(*words):
    told = run_program(words, env={**os.environ, "RUST_LOG": "warn"})
    told["file"] = os.path.getsize(words[-3])
    os.unlink(words[-3])
    return told


def main():
    options = options_of(__doc__)
    own = [f"{options.bin}/log-benchmark"]
    peers = []
    if rust := peer_of(options, "log_benchmark"):
        peers.append(("Rerun SDK, Rust", [rust], False))
    peers.append(("Rerun SDK, Python", [sys.executable, SELF, "--peer"], True))
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        os.chdir(directory)
        for work, large, small_count, full_count, share in WORKS:
            count = full_count if options.full else small_count
            for name, peer, is_python in peers:
                mine, theirs = [], []
                for _ in range(options.runs):
                    mine.append(run(*own, "own.rrd", work, str(count)))
                    theirs.append(run(*peer, "peer.rrd", work, str(int(count * share) if is_python else count)))
                many = (work, name) == ("points3d_many_individual", "Rerun SDK, Rust")
                unit, scale = ("ms/row", 1e3) if large else ("ns/row", 1e9)
                tell(options, "log_benchmark", f"{work}: caller's time", unit, [r["call_seconds"] / r["rows"] * scale for r in mine], name,
                     [r["call_seconds"] / r["rows"] * scale for r in theirs], at_most=1 / 20 if many else None)
                unit, what = ("MB/s", "bytes") if large else ("M rows/s", "rows")
                tell(options, "log_benchmark", f"{work}: to disk", unit, [r[what] / r["seconds"] / 1e6 for r in mine], name,
                     [r[what] / r["seconds"] / 1e6 for r in theirs], at_least=5 if many else None)
                if not is_python:
                    tell(options, "log_benchmark", f"{work}: the file", "MB", [r["file"] / 1e6 for r in mine], name, [r["file"] / 1e6 for r in theirs],
                         at_most=1)
        os.chdir("/")
    return 0 if options.met else 1


SELF = os.path.abspath(__file__)
if len(sys.argv) > 1 and sys.argv[1] == "--peer":
    log(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    sys.exit(main())
