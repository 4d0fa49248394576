"""rrd-merge against Rerun: what it writes is verified, indexed, loaded and compared by Rerun, and read back by pyarrow.

usage: test_merge.py BIN_DIRECTORY
"""

import itertools
import math
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.compute
import rerun as rr
import rerun.blueprint as rrb
from rerun.chunk import RrdReader

import rrdfile

BIN = sys.argv[1]
RERUN = os.path.join(os.path.dirname(sys.executable), "rerun")
SEAL_SIZE = 128
ROW_ID = "rerun.controls.RowId"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def merge(out, *inputs, options=()):
    run(os.path.join(BIN, "rrd-merge"), "-q", *options, "-o", out, *inputs)
    return out


def content(path):
    with open(path, "rb") as file:
        return file.read()


def check_same(a, b):
    assert content(a) == content(b), f"{a} and {b} differ"


# ---- Inputs ----


def record(path, recording_id, seed, *, static=True, count=400):
    """What one process of a recording might log with the official SDK."""
    rng = np.random.default_rng(seed)
    stream = rr.RecordingStream("oracle_merge", recording_id=recording_id, send_properties=static)
    stream.save(path)
    if static:
        stream.send_recording_name(f"run {seed}")
        stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        stream.log("curve", rr.SeriesLines(colors=[255, 0, 0], names=f"curve {seed}"), static=True)
    for i in range(count):
        stream.set_time("frame", sequence=2 * i + seed % 2)
        if i % 3 == 0:
            stream.set_time("sim", duration=i / 30)
        else:
            stream.disable_timeline("sim")
        stream.log("curve", rr.Scalars(math.sin(i / 20) + seed))
        if i % 2 == 0:
            labels = ["a", "b", f"{i}"] if i % 4 == 0 else None
            stream.log(f"cam/{seed}", rr.Boxes2D(centers=rng.random((3, 2)), half_sizes=rng.random((3, 2)), labels=labels))
        if i % 10 == 0:
            stream.log("log", rr.TextLog(f"line {i} of {seed}", level="INFO"))
        if i % 50 == 0:
            stream.log("image", rr.Image(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)))
        if i % 100 == 0:
            stream.log("tensor", rr.Tensor(rng.random((2, 3, 4)), dim_names=["x", "y", "z"]))
            stream.log("any", rr.AnyValues(number=i, numbers=[1.5, 2.5], text="text"))
        if i % 97 == 0:
            stream.log("cam", rr.Clear(recursive=True))
    stream.send_columns(
        f"columns/{seed}",
        indexes=[rr.TimeColumn("frame", sequence=range(500))],
        columns=rr.Scalars.columns(scalars=np.arange(500.0)),
    )
    stream.flush()
    stream.disconnect()
    return path


def record_blueprint(path):
    blueprint = rrb.Blueprint(rrb.Horizontal(rrb.Spatial2DView(origin="/cam/1"), rrb.TimeSeriesView(origin="/curve")))
    blueprint.save("oracle_merge", path)
    return path


def field(number, value):
    """A protobuf field: an int as varint, bytes as they are."""

    def varint(n):
        out = b""
        while n >= 0x80:
            out += bytes([n & 0x7F | 0x80])
            n >>= 7
        return out + bytes([n])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def write_dictionaries(path):
    """A recording whose texts are dictionary-encoded, on two levels: no stock writer does it, Arrow allows it."""
    words = pa.array([["red"], None, ["green", "red", None], []], pa.list_(pa.string()))
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, None], pa.int16()), pa.array(["red", "green"]))
    coded = pa.ListArray.from_arrays(pa.array([0, None, 1, 4, 4], pa.int32()), values)
    assert [len(row) if row is not None else None for row in coded.to_pylist()] == [1, None, 3, 0]
    ids = pa.array([struct.pack(">QQ", 1000 + i, 7) for i in range(4)], pa.binary(16))
    schema = pa.schema(
        [
            pa.field(ROW_ID, pa.binary(16), nullable=False, metadata={"rerun:kind": "control"}),
            pa.field("log_time", pa.timestamp("ns"), metadata={"rerun:kind": "index", "rerun:index_name": "log_time"}),
            pa.field("words", coded.type, metadata={"rerun:kind": "data", "rerun:component": "words"}),
        ],
        metadata={
            "sorbet:version": "0.1.3",
            "rerun:id": "chunk_" + "1234567812345678" * 2,
            "rerun:entity_path": "/words",
        },
    )
    times = pa.array([10, 20, 30, 40], pa.timestamp("ns"))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([ids, times, coded], schema=schema))
    payload = sink.getvalue().to_pybytes()
    store = field(1, 1) + field(2, b"words") + field(3, field(1, b"oracle_merge"))
    tuid = b"\x09" + struct.pack("<Q", 0x1234567812345678) + b"\x11" + struct.pack("<Q", 0x1234567812345678)
    info = field(1, tuid) + field(2, field(2, store) + field(5, field(1, 1)))
    message = field(1, store) + field(2, 1) + field(3, len(payload)) + field(4, 1) + field(5, payload) + field(6, tuid)
    with open(path, "wb") as file:
        file.write(bytes.fromhex("525246320021000001020000"))
        for kind, frame in ((rrdfile.SET_STORE_INFO, info), (rrdfile.ARROW_MSG, message)):
            file.write(struct.pack("<QQ", kind, len(frame)) + frame)
    return words.to_pylist()


# ---- What files hold ----


def store_of(message):
    store = rrdfile.protobuf(message[1][0])
    return store.get(1, [1])[0], rrdfile.protobuf(store[3][0])[1][0].decode(), store[2][0].decode()


def hashable(value):
    if isinstance(value, np.ndarray):
        return hashable(value.tolist())
    if isinstance(value, (list, tuple)):
        return tuple(hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, hashable(item)) for key, item in value.items())
    return repr(value) if isinstance(value, float) else value


def cells(column):
    """The column's cells: None, or the instances. Blobs as bytes, for speed."""
    item = column.type.value_type
    if pa.types.is_list(item) and pa.types.is_uint8(item.value_type):
        return [
            None if not cell.is_valid else tuple(None if not b.is_valid else np.asarray(b.values).tobytes() for b in cell)
            for cell in column
        ]
    return [None if cell is None else hashable(cell) for cell in column.to_pylist()]


def rows(*paths):
    """Every row that has a component, as (store, entity, row id, times, components), sorted; each once."""
    found = set()
    for path in paths:
        for kind, payload in rrdfile.frames(content(path)):
            if kind != rrdfile.ARROW_MSG:
                continue
            store = store_of(rrdfile.protobuf(payload))
            chunk = rrdfile.Chunk(payload)
            ids = chunk.batch.column(chunk.schema.get_field_index(ROW_ID)).to_pylist()
            times = {f.name: column.cast(pa.int64()).to_pylist() for f, column in chunk.columns(b"index")}
            values = {f.name: cells(column) for f, column in chunk.columns(b"data")}
            for i, row_id in enumerate(ids):
                present = tuple((name, values[name][i]) for name in sorted(values) if values[name][i] is not None)
                if present:
                    at = tuple((name, times[name][i]) for name in sorted(times))
                    found.add((store, chunk.entity, row_id, at, present))
    return sorted(found, key=repr)


def manifests(path):
    """The footer's manifests by store: (schema, its hash, batch)."""
    data = content(path)
    start, size = struct.unpack_from("<QQ", data, len(data) - 32)
    assert data[-12:-4] == b"RRF2FOOT", "no stream footer"
    found = {}
    for manifest in rrdfile.protobuf(data[start : start + size]).get(1, []):
        message = rrdfile.protobuf(manifest)
        part = rrdfile.protobuf(message[4][0])
        batch = part[2][0]
        if part.get(3, [0])[0] == rrdfile.COMPRESSION_LZ4:
            batch = pa.decompress(batch, decompressed_size=part[4][0], codec="lz4_raw", asbytes=True)
        schema = pa.ipc.open_stream(rrdfile.protobuf(message[2][0])[1][0]).schema
        found[store_of(message)] = (schema, message[3][0], pa.ipc.open_stream(batch).read_next_batch())
    return found


# ---- Checks ----


def check_frames(path):
    """Every frame but End ends with a seal at a multiple of 128."""
    data = content(path)
    at = rrdfile.STREAM_HEADER_SIZE
    count = 0
    for kind, payload in rrdfile.frames(data):
        at += rrdfile.FRAME_HEADER_SIZE + len(payload)
        if kind != rrdfile.END:
            count += 1
            assert at % SEAL_SIZE == 0, f"a frame ends at {at}"
            assert payload[-SEAL_SIZE:][4:12] == b"\x89RKSEAL\n", f"no seal before {at}"
    assert count > 0


def check_accepted(path, row_count):
    """Rerun verifies it with its footers, prints them, counts its rows, and reads it through the footer."""
    run(RERUN, "rrd", "verify", path)
    run(RERUN, "rrd", "print", "--footers=true", path)
    stats = run(RERUN, "rrd", "stats", path)
    counted = next(line for line in stats.splitlines() if line.startswith("num_rows ="))
    assert int("".join(c for c in counted.split("=")[1] if c.isdigit())) == row_count, counted
    reader = RrdReader(path)
    total = 0
    for store in reader.recordings() + reader.blueprints():
        lazy = reader.store(store=store)
        chunks = list(lazy.stream())
        assert len(chunks) == len(lazy)
        total += sum(chunk.num_rows for chunk in chunks)
        key = (1 if store.kind == "recording" else 2, store.application_id, store.recording_id)
        assert manifests(path)[key][2].num_rows == len(lazy)
    assert total == row_count, f"{total} rows through the footer, not {row_count}"


def check_footer_like_rerun(ours, theirs):
    """Same stores, same schema and hash of it, same columns of the manifest, the same answers over all chunks."""
    left, right = manifests(ours), manifests(theirs)
    assert left.keys() == right.keys()
    for store, (schema, digest, batch) in left.items():
        other_schema, other_digest, other_batch = right[store]
        assert digest == other_digest, f"{store}: another schema hash"
        by_name = {f.name: f for f in other_schema}
        assert by_name.keys() == {f.name for f in schema}
        for f in schema:
            assert f.equals(by_name[f.name], check_metadata=True), f"{store}: {f.name}"
        assert batch.schema.equals(other_batch.schema, check_metadata=True), f"{store}: other columns"
        for name in batch.schema.names:
            a, b = batch.column(name), other_batch.column(name)
            if name.endswith(":start"):
                assert pa.compute.min(a.cast(pa.int64())) == pa.compute.min(b.cast(pa.int64())), name
            elif name.endswith(":end"):
                assert pa.compute.max(a.cast(pa.int64())) == pa.compute.max(b.cast(pa.int64())), name
            elif name.endswith(":num_rows"):
                assert pa.compute.sum(a) == pa.compute.sum(b), name
            elif name.endswith(":has_static_data"):
                assert pa.compute.any(a) == pa.compute.any(b), name


def check_compares(directory, ours, theirs):
    """Rerun's own comparison, after Rerun has cut both into the same chunks. Static chunks stay out: of those Rerun's
    merge drops overwritten rows and joins none."""
    cut = []
    for name, path in (("ours", ours), ("theirs", theirs)):
        timed = os.path.join(directory, f"{name}_timed.rrd")
        stream = RrdReader(path).stream().filter(is_static=False)
        stream.write_rrd(timed, application_id="compared", recording_id="compared")
        cut.append(os.path.join(directory, f"{name}_cut.rrd"))
        limits = ["--max-size", "4GiB", "--max-rows", "1000000", "--max-rows-if-unsorted", "1000000"]
        run(RERUN, "rrd", "optimize", "--profile", "object-store", *limits, "-o", cut[-1], timed)
    assert rrdfile.chunks(cut[0])
    run(RERUN, "rrd", "compare", "--unordered", *cut)


def test_orders(directory, inputs):
    """Any order of the inputs, any stages, and the result again: the same bytes."""
    out = merge(os.path.join(directory, "out.rrd"), *inputs)
    for n, order in enumerate(itertools.permutations(inputs)):
        check_same(out, merge(os.path.join(directory, f"order{n}.rrd"), *order))
    stage = merge(os.path.join(directory, "stage1.rrd"), *inputs[2:])
    for n, path in enumerate(inputs[:2]):
        stage = merge(os.path.join(directory, f"stage{n + 2}.rrd"), path, stage)
    check_same(out, stage)
    check_same(out, merge(os.path.join(directory, "again.rrd"), out))
    small = merge(os.path.join(directory, "small.rrd"), *inputs, options=["--chunk-rows=100"])
    check_same(out, merge(os.path.join(directory, "recut.rrd"), small))
    assert rows(small) == rows(out)
    assert max(chunk.batch.num_rows for chunk in rrdfile.chunks(small)) == 100
    return out


def test_sdk_files(directory):
    inputs = [record(os.path.join(directory, f"sdk{n}.rrd"), "run", n) for n in range(3)]
    inputs.append(record_blueprint(os.path.join(directory, "blueprint.rbl")))
    out = test_orders(directory, inputs)
    logged = rows(*inputs)
    assert len(logged) > 3000
    assert rows(out) == logged
    check_frames(out)
    check_accepted(out, len(logged))
    theirs = os.path.join(directory, "theirs.rrd")
    run(RERUN, "rrd", "merge", "-o", theirs, *inputs)
    check_footer_like_rerun(out, theirs)
    kinds = [kind for kind, _ in rrdfile.frames(content(out))]
    assert rrdfile.BLUEPRINT_ACTIVATION in kinds
    # One recording to a file is all that Rerun compares, and the blueprint is a store of its own.
    inputs = [record(os.path.join(directory, f"plain{n}.rrd"), "run", n, static=n == 0) for n in range(3)]
    out = merge(os.path.join(directory, "plain.rrd"), *inputs)
    run(RERUN, "rrd", "merge", "-o", theirs, *inputs)
    check_footer_like_rerun(out, theirs)
    check_compares(directory, out, theirs)


def test_no_rows(directory):
    """A recording without rows stays a recording that Rerun verifies."""
    path = os.path.join(directory, "empty.rrd")
    write_dictionaries(path)
    out = merge(os.path.join(directory, "empty_out.rrd"), path, options=["--entity=/nothing"])
    assert manifests(out)[(1, "oracle_merge", "words")][2].num_rows == 0
    run(RERUN, "rrd", "verify", out)
    run(RERUN, "rrd", "print", "--footers=true", out)
    check_same(out, merge(os.path.join(directory, "empty_again.rrd"), out))


def test_dictionaries(directory):
    path = os.path.join(directory, "words.rrd")
    expected = write_dictionaries(path)
    out = merge(os.path.join(directory, "words_out.rrd"), path)
    (chunk,) = rrdfile.chunks(out)
    words = chunk.batch.column(chunk.schema.get_field_index("words")).to_pylist()
    assert words == [row for row in expected if row is not None], words
    assert chunk.schema.field("words").type == pa.list_(pa.string())
    check_accepted(out, len(words))
    check_same(out, merge(os.path.join(directory, "words_again.rrd"), out))


def test_examples(directory):
    """What rrdkit's own writers recorded, alone and fused with a file of the SDK."""
    examples = sorted(name for name in os.listdir(BIN) if name.startswith("example-"))
    assert examples, "no examples are built"
    for name in examples:
        path = os.path.join(directory, f"{name}.rrd")
        run(os.path.join(BIN, name), path)
        out = merge(os.path.join(directory, f"{name}_out.rrd"), path)
        recorded = rows(path)
        assert recorded, f"{name} recorded nothing"
        assert rows(out) == recorded
        check_frames(out)
        check_accepted(out, len(recorded))
        check_same(out, merge(os.path.join(directory, f"{name}_again.rrd"), out, path))
        theirs = os.path.join(directory, f"{name}_theirs.rrd")
        run(RERUN, "rrd", "merge", "-o", theirs, path)
        check_footer_like_rerun(out, theirs)
        check_compares(directory, out, theirs)
    sdk = record(os.path.join(directory, "other.rrd"), "other", 7)
    fuse = ["--application-id=fused", "--recording-id=one"]
    fused = merge(os.path.join(directory, "fused.rrd"), out, sdk, options=fuse)
    assert list(manifests(fused)) == [(1, "fused", "one")]
    count = len(rows(out)) + len(rows(sdk))
    assert len(rows(fused)) == count
    check_accepted(fused, count)


def chunk_frames(path):
    return [payload for kind, payload in rrdfile.frames(content(path)) if kind == rrdfile.ARROW_MSG]


def test_passing(directory):
    """Chunks of writers that are in the output as they were, beside others that were gathered: Rerun takes the file
    as it takes one in which every chunk was made anew."""
    path = os.path.join(directory, "threads.rrd")
    run(os.path.join(BIN, "example-threads"), path)
    recorded = rows(path)
    limits = ["--chunk-rows=1000"]  # the static row is gathered, the others lie a thousand to a chunk
    out = merge(os.path.join(directory, "passed.rrd"), path, options=limits)
    frames = set(chunk_frames(path))
    passed = [frame for frame in chunk_frames(out) if frame in frames]
    assert 0 < len(passed) < len(chunk_frames(out)), f"{len(passed)} of {len(chunk_frames(out))} passed"
    assert rows(out) == recorded
    check_frames(out)
    check_accepted(out, len(recorded))
    check_same(out, merge(os.path.join(directory, "passed_again.rrd"), out, path, options=limits))
    anew = merge(os.path.join(directory, "anew.rrd"), path, options=[*limits, "--recode"])
    assert not frames.intersection(chunk_frames(anew))
    check_footer_like_rerun(out, anew)
    check_compares(directory, out, anew)
    theirs = os.path.join(directory, "theirs.rrd")
    run(RERUN, "rrd", "merge", "-o", theirs, out)
    check_footer_like_rerun(out, theirs)
    check_compares(directory, out, theirs)


def main():
    for test in (test_sdk_files, test_no_rows, test_dictionaries, test_examples, test_passing):
        with tempfile.TemporaryDirectory() as directory:
            test(directory)
        print(f"{test.__name__}: ok")


if __name__ == "__main__":
    main()
