#!/usr/bin/env python3
"""rrd-check from the outside: what it says of sound, damaged, live and finished recordings, and what it recovers."""
import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

BIN = os.path.abspath(sys.argv[1])
CHECK, DUMP, LOG, LEFT = (os.path.join(BIN, name) for name in ("rrd-check", "rrd-dump", "log_cli", "log_left"))
ROWS = 182  # of one run of log_cli: 2 threads, 30 loops of 3, and two static rows


def run(*command, stdin=subprocess.DEVNULL, **more):
    return subprocess.run([str(c) for c in command], stdin=stdin, capture_output=True, timeout=120, **more)


def expect(result, code, error=""):
    """Asserts the exit code and, as a regular expression, all of standard error."""
    text = result.stderr.decode()
    assert result.returncode == code, f"{result.args}: exit {result.returncode}, not {code}: {result.stdout} {text}"
    assert re.fullmatch(error, text), f"{result.args}: {text!r} is not {error!r}"
    return result.stdout.decode()


def judge(path, code, *options):
    """The JSON object of one file."""
    lines = expect(run(CHECK, "--json", *options, path), code).splitlines()
    assert len(lines) == 1, lines
    return json.loads(lines[0])


def rows_of(path, code=0):
    result = run(DUMP, "-F", "ndjson", path)
    assert result.returncode == code, (path, result.returncode, result.stderr)
    return result.stdout.decode().splitlines()


def frames(data):
    """(kind, offset, size, writer, chunk number) of each frame up to the End; the last two from the seal."""
    at, found = 12, []
    while at < len(data):
        kind, size = struct.unpack_from("<QQ", data, at)
        if kind == 0:
            break
        writer, number = struct.unpack_from("<II", data, at + 16 + size - 128 + 24)
        found.append((kind, at, size + 16, writer, number))
        at += size + 16
    return found


def store(name, data):
    with open(name, "wb") as file:
        file.write(data)
    return name


def chunk_of(data, thread):
    """The frame of the second of three chunks of that thread's writer."""
    writer = next(int(row["writer"]["id"], 16) for row in map(json.loads, rows_of("a.rrd"))
                  if row["writer"]["thread"] == thread)
    return next(f for f in frames(data) if f[0] == 2 and f[3] == writer and f[4] == 1)


def missing(report, kind="rows-missing"):
    return [n for f in report["findings"] if f["kind"] == kind for n in range(f["first"], f["last"] + 1)]


def test_help_and_usage():
    text = expect(run(CHECK, "--help"), 0)
    assert text.startswith("Usage: rrd-check ") and "Exit code" in text
    assert all(len(line) <= 80 for line in text.splitlines()), text
    manual = open(f"{os.environ['RK_SOURCE_DIR']}/docs/man/rrd-check.1").read()
    options = re.findall(r"^ +(?:-([a-z]), )?--([a-z-]+)", text, re.M)
    assert len(options) >= 8, options
    for letter, name in options:
        assert re.search(rf"Fl Fl {name}\b", manual), f"--{name} is not in the manual"
        assert not letter or re.search(rf"Fl {letter} , Fl Fl {name}\b", manual), f"-{letter}"
    for arguments in ([], ["--bogus", "a.rrd"], ["--recover", "a.rrd"], ["-o", "x", "a.rrd"], ["--finish", "-"],
                      ["--recover", "-o", "x", "a.rrd", "b.rrd"], ["--recover", "-o", "x", "-o", "y", "a.rrd"],
                      ["--recover", "--fast", "-o", "x", "a.rrd"], ["--recover", "--finish", "-o", "x", "a.rrd"]):
        expect(run(CHECK, *arguments), 2, r"rrd-check: [^\n]+\nTry 'rrd-check --help'\.\n")
    assert not os.path.exists("x")


def test_sound(data):
    count = len(frames(data))
    assert expect(run(CHECK, "a.rrd"), 0) == (
        f"a.rrd: sound, not finished: {count} frames, 8 chunks, {ROWS} rows, 3 writers, no gaps\n")
    assert expect(run(CHECK, "-q", "a.rrd"), 0) == ""
    report = judge("a.rrd", 0)
    assert list(report) == [
        "file", "verdict", "state", "fast", "bytes", "frames", "fillers", "chunks", "unsealed_chunks", "repeated_chunks",
        "conflicting_chunks", "missing_chunks", "rows", "missing_rows", "spool_rows", "spool_writers", "writers",
        "judged_writers", "unknown_writers", "lost_ranges", "lost_bytes", "pending_bytes", "losses", "findings"], report
    assert report["verdict"] == "sound" and report["state"] == "unfinished" and report["bytes"] == len(data)
    assert report["judged_writers"] == 3 and report["losses"] == report["findings"] == []
    assert judge("a.rrd", 0, "--fast")["fast"] is True
    with open("a.rrd", "rb") as stdin:
        assert json.loads(expect(run(CHECK, "--json", "-", stdin=stdin), 0))["rows"] == ROWS
    assert len(expect(run(CHECK, "a.rrd", "b.rrd"), 0).splitlines()) == 2
    long = store("n" * 251 + ".rrd", data)  # no spool can be beside it: its name would be too long
    assert "sound" in expect(run(CHECK, long), 0)


def test_failures():
    expect(run(CHECK, "absent.rrd"), 1, r"rrd-check: absent\.rrd: [^\n]+\n")
    store("text", b"this is no recording at all")
    assert "sound" in expect(run(CHECK, "text", "a.rrd"), 1, r"rrd-check: text: not a Rerun recording[^\n]*\n")
    result = run(CHECK, "--json", "text")
    failure = json.loads(result.stdout)
    assert result.returncode == 1 and failure["verdict"] == "failed" and "not a Rerun" in failure["error"]
    expect(run(CHECK, "--finish", "absent.rrd"), 1, r"rrd-check: absent\.rrd: [^\n]+\n")
    assert not os.path.exists("absent.rrd")


def expect_recovered(path, lost):
    """--recover writes all rows but `lost` ones, and rrd-check finds that sound."""
    expect(run(CHECK, "-q", "--recover", "-o", "out.rrd", path), 3 if lost else 0)
    assert judge("out.rrd", 0)["verdict"] == "sound"
    rows, kept = rows_of("a.rrd"), rows_of("out.rrd")
    assert kept == rows_of(path, 3 if lost else 0)
    assert len(kept) == len(rows) - lost and set(kept) <= set(rows)
    os.remove("out.rrd")


def test_torn_middle(data):
    """A byte of a chunk's contents is wrong: the range, the writer, its chunk and its rows are named."""
    _, offset, size, writer, _ = chunk_of(data, "alpha")
    damaged = bytearray(data)
    damaged[offset + size // 3] ^= 1
    store("torn.rrd", damaged)
    text = expect(run(CHECK, "torn.rrd"), 3)
    assert text.startswith(f"torn.rrd:{offset}+{size} its hash is wrong {writer:08x} chunk 1, rows 1 4 7 10 13 16 19 22 "
                           "... (30)\ntorn.rrd: damaged, not finished: "), text
    report = judge("torn.rrd", 3)
    assert report["losses"] == [{"input": "torn.rrd", "offset": offset, "length": size, "reason": "its hash is wrong",
                                 "writer": f"{writer:08x}"}]
    assert missing(report) == list(range(1, 90, 3)) and report["missing_rows"] == 30
    assert missing(report, "chunks-missing") == [1] and report["missing_chunks"] == 1
    assert report["rows"] == ROWS - 30 and report["chunks"] == 7
    fast = judge("torn.rrd", 3, "--fast")
    assert fast["losses"] == report["losses"] and missing(fast, "chunks-missing") == [1] and missing(fast) == []
    expect_recovered("torn.rrd", 30)


def test_zeroed_range(data):
    """The range takes a frame's head: nothing tells what it was but the gap in its writer's numbers."""
    _, offset, size, writer, _ = chunk_of(data, "beta")
    store("zeroed.rrd", data[:offset] + bytes(size) + data[offset + size:])
    text = expect(run(CHECK, "zeroed.rrd"), 3)
    assert text.startswith(f"zeroed.rrd:{offset}+{size} zero-filled range {writer:08x} chunk 1, rows 1 4 7 "), text
    expect_recovered("zeroed.rrd", 30)


def test_missing_chunk(data):
    """A whole frame is cut out: every frame that is left is sound, and the gap still shows."""
    _, offset, size, writer, _ = chunk_of(data, "alpha")
    store("cut.rrd", data[:offset] + data[offset + size:])
    text = expect(run(CHECK, "cut.rrd"), 3)
    assert text.startswith(f"cut.rrd: missing of writer {writer:08x}: chunk 1, rows 1 4 7 "), text
    report = judge("cut.rrd", 3)
    assert report["losses"] == [] and report["missing_rows"] == 30 and missing(report, "chunks-missing") == [1]
    gap = next(f for f in report["findings"] if f["kind"] == "chunks-missing")
    assert gap["offset"] <= offset <= gap["offset"] + gap["length"]
    assert missing(judge("cut.rrd", 3, "--fast"), "chunks-missing") == [1]
    expect(run(CHECK, "-q", "--recover", "-o", "out.rrd", "cut.rrd"), 3)
    assert len(rows_of("out.rrd")) == ROWS - 30


def test_last_chunk_missing(data):
    """The last chunk of a writer leaves no gap in the numbers of chunks, but in those of its rows."""
    last = next(f for f in frames(data) if f[0] == 2 and f[3] == chunk_of(data, "alpha")[3] and f[4] == 2)
    store("last.rrd", data[:last[1]] + data[last[1] + last[2]:])
    report = judge("last.rrd", 3)
    assert report["missing_chunks"] == 0 and report["missing_rows"] in (29, 30), report  # its last row may be the last
    assert "rows 2 5 8 " in expect(run(CHECK, "last.rrd"), 3)


def test_missing_writer_record(data):
    writer = chunk_of(data, "beta")[3]
    record = next(f for f in frames(data) if f[0] == 1 and f[3] == writer)
    store("anonymous.rrd", data[:record[1]] + data[record[1] + record[2]:])
    text = expect(run(CHECK, "anonymous.rrd"), 3)
    assert text.startswith(f"anonymous.rrd: the record of writer {writer:08x} is missing\n"), text
    assert judge("anonymous.rrd", 3)["unknown_writers"] == 1


def test_repeated_chunk(data):
    _, offset, size, writer, _ = chunk_of(data, "alpha")
    store("twice.rrd", data[:offset + size] + data[offset:])
    for options in ([], ["--fast"]):
        report = judge("twice.rrd", 0, *options)
        assert report["repeated_chunks"] == 1 and report["rows"] == ROWS and report["chunks"] == 8, report
    text = expect(run(CHECK, "twice.rrd"), 0)
    assert text.startswith(f"twice.rrd:{offset + size}+{size} chunk 1 repeats another chunk; its rows are read once "
                           f"{writer:08x}\ntwice.rrd: sound, "), text
    expect_recovered("twice.rrd", 0)


def test_truncated(data):
    """Every cut from the last frame's beginning to its end but one byte, in steps; then zeros instead."""
    offset, size = frames(data)[-1][1:3]
    for cut in (*range(offset + 1, offset + size, 97), offset + size - 1):
        store("short.rrd", data[:cut])
        report = judge("short.rrd", 3)
        assert [(l["offset"], l["length"]) for l in report["losses"]] == [(offset, cut - offset)], (cut, report)
        assert report["pending_bytes"] == 0
    store("short.rrd", data[:offset] + bytes(1 << 20))
    assert expect(run(CHECK, "short.rrd"), 3).startswith(f"short.rrd:{offset}+{1 << 20} zero-filled tail -\n")
    store("short.rrd", data[:-1])
    expect(run(CHECK, "-q", "--recover", "-o", "out.rrd", "short.rrd"), 3)
    assert judge("out.rrd", 0)["state"] == "finished"


def test_live(data):
    """While somebody holds a participant's lock, a partial record at the end is no loss, nor are rows still to come."""
    offset, size = frames(data)[-1][1:3]
    store("live.rrd", data[:offset + size // 2])
    with open("live.rrd", "rb+") as file:
        shared = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0)
        fcntl.fcntl(file, 37, shared)  # F_OFD_SETLK
        report = judge("live.rrd", 0)
        assert report["verdict"] == "sound" and report["state"] == "live" and report["pending_bytes"] == size // 2
        assert report["frames"] == len(frames(data)) - 1 and report["findings"] == []
        assert "sound, live: " in expect(run(CHECK, "live.rrd"), 0)
        assert run(DUMP, "live.rrd").returncode == 0
        damaged = bytearray(data[:offset + size // 2])
        middle = chunk_of(data, "alpha")
        if middle[1] < offset:
            damaged[middle[1] + middle[2] // 3] ^= 1
            file.write(damaged)
            file.flush()
            report = judge("live.rrd", 3)
            assert [l["offset"] for l in report["losses"]] == [middle[1]] and report["pending_bytes"] == size // 2
    assert judge("live.rrd", 3)["state"] == "unfinished"


def test_finish(data):
    store("end.rrd", data)
    with open("end.rrd", "rb+") as file:
        fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0))
        text = expect(run(CHECK, "--finish", "end.rrd"), 1, r"rrd-check: end\.rrd: [^\n]+\n")
        assert "live" in text, text
    rows = rows_of("end.rrd")
    assert "sound, finished: " in expect(run(CHECK, "--finish", "end.rrd"), 0)
    finished = open("end.rrd", "rb").read()
    assert finished[:len(data)] == data and finished[-12:-4] == b"RRF2FOOT" and rows_of("end.rrd") == rows
    assert not os.path.exists("end.rrd.spool")
    expect(run(CHECK, "--finish", "end.rrd"), 0, "")
    assert open("end.rrd", "rb").read() == finished, "finished twice"
    return finished


def footer(data):
    """Offset of the End frame."""
    last = frames(data)[-1]
    return last[1] + last[2]


def test_footer(finished):
    """A footer with a wrong hash; one whose hash is right but whose manifest tells of other chunks; one lost chunk."""
    end = footer(finished)
    damaged = bytearray(finished)
    damaged[end + 100] ^= 1
    store("footer.rrd", damaged)
    text = expect(run(CHECK, "footer.rrd"), 3)
    assert text.startswith(f"footer.rrd:{end}+{len(finished) - end} the footer's hash is wrong; no row is in it -\n"), text
    expect_recovered_rows("footer.rrd", ROWS)

    # a chunk that the manifest does not know, and the footer moved behind it
    extra = next(f for f in frames(open("b.rrd", "rb").read()) if f[0] == 2)
    chunk = open("b.rrd", "rb").read()[extra[1]:extra[1] + extra[2]]
    other = finished[:end] + finished[frames(finished)[-1][1]:end]
    assert chunk and len(other) > end
    tail = bytearray(finished[end:])
    place = len(tail) - 32
    struct.pack_into("<Q", tail, place, struct.unpack_from("<Q", tail, place)[0] + len(other) - end)
    store("footer.rrd", other + tail)
    text = expect(run(CHECK, "footer.rrd"), 3)
    assert f"footer.rrd:{len(other)}+{len(tail)} the footer's manifest tells 0 chunks wrongly and 1 not at all; " in text

    # the manifest knows how many rows were in a chunk that is gone
    merged = finished_merge()
    offset, size = next((f[1], f[2]) for f in frames(merged) if f[0] == 2 and f[2] > 2000)
    broken = store("footer.rrd", merged[:offset] + bytes(size) + merged[offset + size:])
    report = judge(broken, 3)
    assert report["judged_writers"] == 0 and report["missing_rows"] > 0
    assert report["rows"] + report["missing_rows"] == ROWS, report
    absent = [f for f in report["findings"] if f["kind"] == "chunk-absent"]
    assert [(f["offset"], f["length"], f["rows"]) for f in absent] == [(offset, size, report["missing_rows"])]
    first = expect(run(CHECK, broken), 3).splitlines()[0]
    assert first == f"footer.rrd:{offset}+{size} zero-filled range - {report['missing_rows']} rows", first


def expect_recovered_rows(path, count):
    expect(run(CHECK, "-q", "--recover", "-o", "out.rrd", path), 3)
    assert judge("out.rrd", 0)["rows"] == count
    assert set(rows_of("out.rrd")) <= set(rows_of("a.rrd"))


def finished_merge():
    expect(run(CHECK, "-q", "--recover", "-o", "merged.rrd", "a.rrd"), 0)
    report = judge("merged.rrd", 0)
    assert report["state"] == "finished" and report["rows"] == ROWS and report["judged_writers"] == 0
    return open("merged.rrd", "rb").read()


def test_recover_output(data):
    expect(run(CHECK, "--recover", "-o", "a.rrd", "a.rrd"), 1, r"rrd-check: a\.rrd: is also the output\n")
    assert open("a.rrd", "rb").read() == data
    os.symlink("a.rrd", "alias.rrd")
    expect(run(CHECK, "--recover", "-o", "alias.rrd", "a.rrd"), 1, r"rrd-check: a\.rrd: is also the output\n")
    result = run(CHECK, "--recover", "-o", "-", "a.rrd")
    assert result.returncode == 0 and result.stderr.startswith(b"a.rrd: sound") and result.stdout[:4] == b"RRF2"
    store("piped.rrd", result.stdout)
    assert judge("piped.rrd", 0)["rows"] == ROWS and rows_of("piped.rrd") == rows_of("a.rrd")
    expect(run(CHECK, "--recover", "-o", "absent/x.rrd", "a.rrd"), 1, r"rrd-check: absent/x\.rrd: [^\n]+\n")


def tree(path):
    return {os.path.join(base, name): open(os.path.join(base, name), "rb").read()
            for base, _, names in os.walk(path) for name in names}


def test_spool():
    """A process that died left rows: they are not missing, are recovered, and --finish brings them in."""
    os.mkdir("left")
    expect(run(LEFT, "left/run.rrd"), 0)
    before = tree("left")
    assert len(before) > 1, before
    report = judge("left/run.rrd", 0)
    assert (report["rows"], report["spool_rows"], report["spool_writers"]) == (51, 30, 1), report  # the recording's start is a row
    assert report["verdict"] == "sound" and report["writers"] == report["judged_writers"] == 1
    assert "; 30 rows of these in the spools of 1 dead writer\n" in expect(run(CHECK, "left/run.rrd"), 0)
    alone = judge("left/run.rrd", 0, "--ignore-spool")
    assert (alone["rows"], alone["spool_rows"]) == (21, 0)
    expect(run(CHECK, "-q", "--recover", "-o", "clean.rrd", "left/run.rrd"), 0)
    assert judge("clean.rrd", 0)["rows"] == 51
    assert tree("left") == before, "reading changed something"
    # what the file lacks, the spool does not tell: its rows come later
    data = before["left/run.rrd"]
    chunk = next(f for f in frames(data) if f[0] == 2 and f[4] == 1)
    store("left/run.rrd", data[:chunk[1]] + bytes(chunk[2]) + data[chunk[1] + chunk[2]:])
    report = judge("left/run.rrd", 3)
    assert report["rows"] == 31 and missing(report) == list(range(1, 21)), report
    assert missing(report, "chunks-missing") == [1] and report["spool_rows"] == 30
    store("left/run.rrd", data)
    assert "sound, finished: " in expect(run(CHECK, "--finish", "left/run.rrd"), 0)
    report = judge("left/run.rrd", 0)
    assert (report["rows"], report["spool_rows"]) == (51, 0) and list(tree("left")) == ["left/run.rrd"]


def test_stock():
    """A file without seals, as other software writes it: made here from a recording by leaving out field 24601."""
    merged = open("merged.rrd", "rb").read()
    plain = bytearray(merged[:12])
    for kind, offset, size, _, _ in frames(merged):
        payload = merged[offset + 16:offset + size - 128]
        for key in (b"\xd2\x81\x0c", b"\xda\x81\x0c"):  # rrdkit's records need a seal
            at = payload.find(key) if kind == 1 else -1
            if at >= 0:
                payload = payload[:at]
        plain += struct.pack("<QQ", kind, len(payload)) + payload
    store("stock.rrd", plain + struct.pack("<QQ", 0, 0))
    text = expect(run(CHECK, "stock.rrd"), 0)
    assert text.startswith("stock.rrd: sound, not finished: ") and "no gaps" not in text, text
    assert text.endswith("; no seals: only structure and contents could be judged\n"), text
    report = judge("stock.rrd", 0)
    assert report["unsealed_chunks"] == report["chunks"] == 7 and report["rows"] == ROWS
    store("stock.rrd", plain[:-20])
    assert judge("stock.rrd", 3)["lost_ranges"] == 1


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for name in ("a", "b"):
            expect(run(LOG, f"{name}.rrd", f"rec-{name}", "0"), 0)
        data = open("a.rrd", "rb").read()
        test_help_and_usage()
        test_sound(data)
        test_failures()
        for test in (test_torn_middle, test_zeroed_range, test_missing_chunk, test_last_chunk_missing,
                     test_missing_writer_record, test_repeated_chunk, test_truncated, test_live):
            test(data)
        finished = test_finish(data)
        test_footer(finished)
        test_recover_output(data)
        test_spool()
        test_stock()
    print("ok")


main()
