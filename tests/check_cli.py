#!/usr/bin/env python3
"""rrd-dump and rrd-merge from the outside: exit codes, messages, formats and values, on recordings made by log_cli."""
import base64
import csv
import datetime
import io
import json
import math
import os
import re
import struct
import subprocess

from cli_run import DUMP, MERGE, ROWS, expect, pty_run, rows_of, run, two_recordings


def test_help_and_version():
    for tool in (DUMP, MERGE):
        text = expect(run(tool, "--help"), 0).decode()
        assert text.startswith(f"Usage: {os.path.basename(tool)} "), text
        assert all(len(line) <= 80 for line in text.splitlines()), [l for l in text.splitlines() if len(l) > 80]
        assert "--entity" in text and "--help" in text and "Exit code" in text
        assert re.fullmatch(rf"{os.path.basename(tool)} \(rrdkit\) \d+\.\d+\.\d+\n", expect(run(tool, "--version"), 0).decode())


def test_every_option_is_in_the_manual():
    source = os.environ.get("RK_SOURCE_DIR")
    assert source, "RK_SOURCE_DIR is not set"
    for tool in (DUMP, MERGE):
        manual = open(f"{source}/docs/man/{os.path.basename(tool)}.1").read()
        options = re.findall(r"^ +(?:-([a-zA-Z0-9]), )?--([a-z-]+)", expect(run(tool, "--help"), 0).decode(), re.M)
        assert len(options) > 8, options
        for letter, name in options:
            assert re.search(rf"Fl Fl {name}\b", manual), f"{tool}: --{name} is not in the manual"
            assert not letter or re.search(rf"Fl {letter} , Fl Fl {name}\b", manual), f"{tool}: -{letter}"


def test_usage_errors():
    for command in ([DUMP], [DUMP, "--bogus", "x"], [DUMP, "-Z", "x"], [DUMP, "-n", "x", "f"], [DUMP, "-n"],
                    [DUMP, "--format=xml", "f"], [DUMP, "--since=yesterday", "f"], [DUMP, "--until=+", "f"],
                    [DUMP, "--writer=pid:x", "f"], [DUMP, "--writer=123456789", "f"], [DUMP, "--color=red", "f"],
                    [DUMP, "--width=-1", "f"], [DUMP, "--time=today", "f"], [DUMP, "--time=utc,delta,none", "f"], [DUMP, "--time=", "f"],
                    [DUMP, "--lanes=x", "f"], [DUMP, "--svg=", "f"], [DUMP, "--help=x"], [DUMP, "--info=x", "f"],
                    [MERGE], [MERGE, "x"], [MERGE, "-o", "y"], [MERGE, "-o"], [MERGE, "-o", "a", "-o", "b", "c"],
                    [MERGE, "-o", "y", "--compression=zip", "x"], [MERGE, "-o", "y", "--chunk-rows=0", "x"],
                    [MERGE, "-o", "y", "--chunk-bytes=1Q", "x"], [MERGE, "-o", "y", "--application-id=a b", "x"]):
        name = os.path.basename(command[0])
        expect(run(*command), 2, rf"{name}: [^\n]+\nTry '{name} --help'\.\n")
    assert not os.path.exists("y")


def test_ndjson_rows(a):
    rows = rows_of(a)
    assert len(rows) == 2 + 2 * ROWS * 3, len(rows)
    names = ["entity", "timelines", "row_id", "writer", "row", "components"]
    for row in rows:
        assert list(row) == names, row
        assert re.fullmatch("[0-9a-f]{32}", row["row_id"])
        assert list(row["writer"]) == ["id", "host", "pid", "tid", "thread"], row
        assert re.fullmatch("[0-9a-f]{8}", row["writer"]["id"]) and row["writer"]["id"] == row["row_id"][16:24]
        assert row["row"] == int(row["row_id"][24:], 16)
        assert row["writer"]["host"] == os.uname().nodename
    static = [r for r in rows if r["timelines"] == {}]
    assert sorted(r["entity"] for r in static) == ["/__properties", "/plot"]
    assert [r["components"] for r in static if r["entity"] == "/plot"] == [{"SeriesLines:names": ['plot of "beta"']}]
    moving = [r for r in rows if r["timelines"]]
    for row in moving:
        assert list(row["timelines"]) == ["log_time", "elapsed", "frame"], row
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", row["timelines"]["log_time"])
    keys = [(r["timelines"]["log_time"], r["row_id"]) for r in moving]
    assert keys == sorted(keys), "not in order"
    assert {r["writer"]["thread"] for r in moving} == {"alpha", "beta"}
    return rows


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def same_single(text, value):
    """A float32 printed in its shortest form."""
    return single(text) == single(value) and len(repr(text)) <= len(repr(single(value)))


def test_values(rows):
    """Everything that log_cli logged, by what its loops say."""
    for thread in ("alpha", "beta"):
        mine = [r for r in rows if r["writer"]["thread"] == thread]
        assert [r["row"] for r in mine] == list(range(3 * ROWS)), "the writer's own order"
        for i in range(ROWS):
            boxes, log, last = mine[3 * i:3 * i + 3]
            for row in (boxes, log, last):
                assert row["timelines"]["frame"] == i and row["timelines"]["elapsed"] == i * 33333333
            assert boxes["entity"] == f"/{thread}/boxes"
            assert boxes["components"]["Boxes2D:colors"] == [0xFF0000FF, 0x00FF0080]
            (x, y), (z, w) = boxes["components"]["Boxes2D:half_sizes"]
            assert (x, y, w) == (i, 2, 4.5) and same_single(z, 0.1), boxes
            assert log["entity"] == "/log" and log["components"] == {
                "TextLog:level": ["INFO" if i % 2 == 0 else "ERROR"],
                "TextLog:text": [f'{thread} {i}: "quoted", comma,\nnew line, é, \x1b[31m']}
            if thread == "beta":
                assert last["entity"] == "/plot" and last["components"] == {"Scalars:scalars": [i * 0.1]}
                continue
            got = last["components"]
            assert last["entity"] == "/any" and list(got) == ["blob", "empty", "flags", "row", "signed", "unsigned"]
            assert got["signed"] == [-2**63, i] and got["unsigned"] == [2**64 - 1] and got["empty"] == []
            assert base64.b64decode(got["blob"][0], validate=True) == bytes([0, 1, 2, 253, 254, 255])[:i % 7]
            assert got["row"][0] == i * 0.1 and got["row"][2] == 1e300 and math.copysign(1, got["row"][1]) == -1
            assert got["flags"] == [True, False]


def test_csv(a, rows):
    text = expect(run(DUMP, "--format=csv", a), 0).decode()
    assert text.count("\r\n") >= len(rows) + 1
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    columns = ["entity", "log_time", "row_id", "writer", "host", "pid", "tid", "thread", "row", "elapsed", "frame",
               "Boxes2D:colors", "Boxes2D:half_sizes", "RecordingInfo:start_time", "Scalars:scalars",
               "SeriesLines:names", "TextLog:level", "TextLog:text", "blob", "empty", "flags", "component:row",
               "signed", "unsigned"]
    assert list(table[0]) == columns, list(table[0])
    assert len(table) == len(rows)
    for cells, row in zip(table, rows):
        assert None not in cells and None not in cells.values(), cells
        assert cells["entity"] == row["entity"] and cells["row_id"] == row["row_id"]
        assert cells["log_time"] == row["timelines"].get("log_time", "")
        assert cells["frame"] == str(row["timelines"].get("frame", ""))
        assert (cells["writer"], cells["pid"], cells["tid"], cells["thread"], cells["row"]) == (
            row["writer"]["id"], str(row["writer"]["pid"]), str(row["writer"]["tid"]), row["writer"]["thread"], str(row["row"]))
        for name in columns[11:]:
            value = row["components"].get(name.removeprefix("component:"))
            if value is None:
                assert cells[name] == "", (name, cells)
            elif len(value) == 1 and isinstance(value[0], str) and name != "blob":
                assert cells[name] == value[0], (name, cells)
            elif len(value) == 1 and isinstance(value[0], (int, float)):
                assert json.loads(cells[name]) == value[0], (name, cells)
            else:
                assert json.loads(cells[name]) == value, (name, cells)


def test_filters(a, rows):
    by = lambda choose: [r["row_id"] for r in rows if choose(r)]
    ids = lambda *arguments: [r["row_id"] for r in rows_of(*arguments, a)]
    assert ids("-e", "/log") == by(lambda r: r["entity"] == "/log")
    assert ids("-e", "/*/boxes", "-e", "plot") == by(lambda r: r["entity"].endswith("/boxes") or r["entity"] == "/plot")
    assert ids("-e", "/nothing") == []
    assert ids("-n", "7") == by(lambda r: True)[:7] and ids("-n", "0") == []
    on_frame = sorted((r for r in rows if "frame" in r["timelines"]), key=lambda r: r["timelines"]["frame"])
    assert ids("--timeline", "frame") == by(lambda r: not r["timelines"]) + [r["row_id"] for r in on_frame]
    assert ids("--writer", "thread:alpha") == by(lambda r: r["writer"]["thread"] == "alpha")
    for kind in ("pid", "tid"):
        number = rows[-1]["writer"][kind]
        assert ids("--writer", f"{kind}:{number}") == by(lambda r: r["writer"][kind] == number)
    beta = next(r["writer"]["id"] for r in rows if r["writer"]["thread"] == "beta")
    assert ids("-w", beta) == by(lambda r: r["writer"]["id"] == beta)
    assert len(ids("-w", beta, "-w", "thread:alpha")) == 6 * ROWS
    expect(run(DUMP, "-w", "thread:gamma", a), 1, "rrd-dump: no writer has the thread 'gamma'\n")
    expect(run(DUMP, "--timeline=fame", a), 0, "rrd-dump: note: no row that is selected has a time on timeline 'fame'\n")

    moving = [r for r in rows if r["timelines"]]
    static = len(rows) - len(moving)
    times = [r["timelines"]["log_time"] for r in moving]
    middle = times[len(times) // 2]
    since, until = rows_of("--since", middle, a), rows_of("--until", middle, a)
    assert {r["row_id"] for r in since if r["timelines"]} == set(by(lambda r: r["timelines"].get("log_time", "") >= middle))
    assert {r["row_id"] for r in until if r["timelines"]} == set(by(lambda r: "" < r["timelines"].get("log_time", "") < middle))
    assert len(since) + len(until) == len(rows) + static, "static rows always pass"
    nanoseconds = int(moving[0]["row_id"][:16], 16)
    assert len(rows_of("--since", "+0s", a)) == len(rows) and len(rows_of("--until", "+0s", a)) == static
    assert len(rows_of("--since", "-0s", a)) == static + times.count(times[-1])
    assert len(rows_of("--until", f"{nanoseconds}ns", a)) == static
    assert len(rows_of("--since", f"@{nanoseconds // 10**9}", a)) == len(rows)
    assert len(rows_of("--since", "2100-01-01", a)) == static
    moved = [r for r in rows_of("--since=+100us", "--until=-100us", a) if r["timelines"]]
    low, high = nanoseconds + 100_000, int(moving[-1]["row_id"][:16], 16) - 100_000
    assert [r["row_id"] for r in moved] == by(lambda r: r["timelines"] and low <= int(r["row_id"][:16], 16) < high)


def test_text(a, rows):
    full = expect(run(DUMP, a), 0).decode()
    assert "\x1b" not in full, "escapes of the data or colour in a pipe"
    lines = full.splitlines()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows):
        assert line.startswith(row["timelines"].get("log_time", "static")) and row["entity"] in line
        assert row["writer"]["thread"] in line
    assert sum('INFO  alpha 0: "quoted", comma,\\nnew line, é, \\x1b[31m' in line for line in lines) == 1
    colour = re.compile(r"\x1b\[[0-9;]*m")
    for width in (20, 80, 119, 120, 200):
        lines = expect(run(DUMP, f"--width={width}", a), 0).decode().splitlines()
        assert max(map(len, lines)) <= width and len(lines) >= len(rows), (width, max(map(len, lines)))
        text, code = pty_run(width, DUMP, a)
        assert code == 0 and "\x1b[" in text, "no colour on a terminal"
        assert colour.sub("", text).splitlines() == lines, f"terminal of {width} columns"
    assert any(line.endswith("…") for line in expect(run(DUMP, "--width=60", a), 0).decode().splitlines())
    assert "\x1b[" not in pty_run(100, DUMP, a, environment={"NO_COLOR": "1"})[0]
    assert "\x1b[" not in pty_run(100, DUMP, "--color=never", a)[0]
    assert "\x1b[" in expect(run(DUMP, "--color=always", a), 0).decode()
    assert max(map(len, colour.sub("", pty_run(200, DUMP, a, environment={"COLUMNS": "70"})[0]).splitlines())) == 70


def test_text_layout(a, rows):
    """Columns stand where they stood in the first row, whatever comes."""
    for width in (80, 120, 200, 0):
        lines = expect(run(DUMP, f"--width={width}", a), 0).decode().splitlines()
        lines = [line for line in lines if not line.startswith(("──", "static"))]
        for word in ("elapsed=", "frame=", "/alpha/boxes", "/any", "/log", "/plot"):
            places = {line.index(word) for line in lines if word in line}
            assert len(places) == 1, (width, word, places)
    narrow = expect(run(DUMP, "--width=48", "-e", "/log", a), 0).decode()
    assert "TextLog" in narrow and "elapsed=" not in narrow, "timelines leave no room for values"


def test_times(a, rows):
    moving = [r for r in rows if r["timelines"]]
    nanoseconds = [int(r["row_id"][:16], 16) for r in moving]
    rows_only = lambda *more, **kw: [l for l in expect(run(DUMP, *more, a, **kw), 0).decode().splitlines() if not l.startswith("static")]
    seconds = lambda text: round(float(text) * 10**9)
    assert [seconds(l.split()[0]) for l in rows_only("--time=relative")] == [n - nanoseconds[0] for n in nanoseconds]
    assert [seconds(l.split()[0]) for l in rows_only("--time=delta")] == [0] + [b - a for a, b in zip(nanoseconds, nanoseconds[1:])]
    both = rows_only("--time=absolute,delta")
    assert [l.split()[0] for l in both] == [r["timelines"]["log_time"] for r in moving]
    assert [seconds(l.split()[1]) for l in both] == [0] + [b - a for a, b in zip(nanoseconds, nanoseconds[1:])]
    assert sum(l.startswith("elapsed=") for l in rows_only("--time=none")) == len(moving)
    india = {**os.environ, "TZ": "XXX-5:30"}
    local = [l.split()[0] for l in rows_only("--time=local", env=india)]
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    for text, n in zip(local, nanoseconds):
        assert text.endswith("+05:30") and text[19] == "."
        moment = datetime.datetime.fromtimestamp(n // 10**9, zone)
        assert text == moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{n % 10**9:09d}+05:30", text
    assert " local ──\n" in expect(run(DUMP, "--time=local", "--width=80", a, env=india), 0).decode()


def test_full_text(a):
    short = expect(run(DUMP, "--width=120", "-e", "/any", a), 0).decode()
    full = expect(run(DUMP, "--full", "-e", "/any", a), 0).decode()
    assert "…" in short and "blob=6 B" in short and "18446744073709551615" not in short
    assert "…" not in full and "AAEC/f7/" in full and "18446744073709551615" in full
    assert "…" not in pty_run(60, DUMP, "--full", a)[0], "cut at the terminal's width"


def test_tail(a, b, rows):
    lines = expect(run(DUMP, "-F", "ndjson", a), 0).splitlines(True)
    both = expect(run(DUMP, "-F", "ndjson", a, b), 0).splitlines(True)
    table = list(csv.reader(io.StringIO(expect(run(DUMP, "-F", "csv", a, b), 0).decode(), newline="")))
    for n in (0, 1, 7, len(rows) - 1, len(rows), 10**6):
        kept = lambda of: of[max(len(of) - n, 0):]
        assert expect(run(DUMP, "-F", "ndjson", f"--tail={n}", a), 0) == b"".join(kept(lines)), n
        # rows that are there twice: the index promises more than there are
        for files in ([a, b, a], [b, a, b, a, a]):
            assert expect(run(DUMP, "-F", "ndjson", f"--tail={n}", *files), 0) == b"".join(kept(both)), n
            text = expect(run(DUMP, "-F", "csv", f"--tail={n}", *files), 0).decode()
            assert list(csv.reader(io.StringIO(text, newline=""))) == table[:1] + kept(table[1:]), n
    text = expect(run(DUMP, a), 0).splitlines(True)
    assert expect(run(DUMP, "--tail=5", a), 0).decode().split() == b"".join(text[-5:]).decode().split()
    damaged = bytearray(open(a, "rb").read())
    damaged[-1000] ^= 1  # in the last chunk
    open("damaged-end.rrd", "wb").write(damaged)
    left = run(DUMP, "-F", "ndjson", "damaged-end.rrd")
    result = run(DUMP, "-F", "ndjson", "--tail=3", "damaged-end.rrd")
    assert left.returncode == result.returncode == 3 and result.stderr == left.stderr, result.stderr
    assert result.stdout == b"".join(left.stdout.splitlines(True)[-3:])


def test_bad_inputs(a, rows):
    os.mkdir("directory")
    files = {"empty.rrd": b"", "text.rrd": b"this is no recording at all, only text\n" * 9, "short.rrd": b"RRF",
             "zero.rrd": bytes(4096), "old.rrd": b"RRF1" + bytes(100)}
    for name, content in files.items():
        open(name, "wb").write(content)
    for name in ["missing.rrd", "directory", "evil\x1b[31m\n.rrd", *files]:
        shown = r"evil\\x1b\[31m\\n\.rrd" if name.startswith("evil") else re.escape(name)
        line = rf"rrd-dump: {shown}: [^\n]+\n"
        expect(run(DUMP, name), 1, line)
        assert len(rows_of(name, a, code=1, error=line)) == len(rows), "the other inputs are still printed"
        expect(run(DUMP, "--info", "--json", name), 1, line)
        expect(run(MERGE, "-o", "out.rrd", a, name), 1, rf"rrd-merge: {shown}: [^\n]+\nrrd-merge: note: nothing was written[^\n]*\n")
        assert not os.path.exists("out.rrd") and not [f for f in os.listdir() if f.startswith(".out")]
        expect(run(MERGE, "-k", "-o", "out.rrd", a, name), 3, rf"rrd-merge: {shown}: [^\n]+\n")
        assert len(rows_of("out.rrd")) == len(rows)
        os.remove("out.rrd")
        expect(run(MERGE, "-k", "-o", "out.rrd", name), 1, rf"rrd-merge: {shown}: [^\n]+\n")
        assert not os.path.exists("out.rrd")
    expect(run(DUMP, "-"), 1, r"rrd-dump: standard input: [^\n]+\n")
    for name in ("text.rrd", "zero.rrd", "old.rrd"):
        assert b"(offset 0)" in run(DUMP, name).stderr, run(DUMP, name).stderr


def test_damage(a, rows):
    content = open(a, "rb").read()
    every = {r["row_id"] for r in rows}
    loss = r"{}:\d+\+\d+ [^\n]+ ([0-9a-f]{{8}}|-)\n"
    for cut in (200, len(content) // 2, len(content) - 1):
        open("cut.rrd", "wb").write(content[:cut])
        result = run(DUMP, "--json", "cut.rrd")
        got = [json.loads(line)["row_id"] for line in result.stdout.splitlines()]
        assert set(got) <= every and len(got) < len(every)
        expect(result, 3, f"({loss.format('cut.rrd')})+")
    garbled = bytearray(content)
    middle = len(content) // 2
    garbled[middle:middle + 40] = bytes(40)
    open("garbled.rrd", "wb").write(garbled)
    result = run(DUMP, "--json", "garbled.rrd")
    got = [json.loads(line) for line in result.stdout.splitlines()]
    expect(result, 3, f"({loss.format('garbled.rrd')})+")
    assert 0 < len(got) < len(rows) and {r["row_id"] for r in got} <= every
    first_offset = int(result.stderr.split(b":")[1].split(b"+")[0])
    assert first_offset <= middle < first_offset + int(result.stderr.split(b"+")[1].split()[0])
    expect(run(MERGE, "-o", "healed.rrd", "garbled.rrd"), 3, f"({loss.format('garbled.rrd')})+")
    assert {r["row_id"] for r in rows_of("healed.rrd")} == {r["row_id"] for r in got}
    info = run(DUMP, "--info", "--json", "garbled.rrd")
    expect(info, 3, f"({loss.format('garbled.rrd')})+")
    assert json.loads(info.stdout)["losses"]["count"] > 0


def test_standard_streams(a, rows):
    with open(a, "rb") as file:
        result = run(DUMP, "--json", "-", stdin=file)
    assert [json.loads(line) for line in expect(result, 0).splitlines()] == rows
    for tool in ([DUMP, "--json", a, a], [DUMP, a], [DUMP, "-F", "csv", a], [MERGE, "-o", "-", a], [DUMP, "--help"], [DUMP, "--info", a]):
        read_end, write_end = os.pipe()
        os.close(read_end)
        result = subprocess.run(tool, stdout=write_end, stderr=subprocess.PIPE, timeout=60)
        os.close(write_end)
        assert (result.returncode, result.stderr) == (0, b""), f"{tool}: broken pipe: {result}"
        with open("/dev/full", "wb") as full:
            result = subprocess.run(tool, stdout=full, stderr=subprocess.PIPE, timeout=60)
        name = os.path.basename(tool[0])
        assert result.returncode == 1 and re.fullmatch(rf"{name}: (standard output: )?[^\n]*No space left on device[^\n]*\n", result.stderr.decode()), result
    piped = subprocess.run(f"'{DUMP}' --json '{a}' '{a}' | head -n 1", shell=True, capture_output=True, timeout=60, executable="/bin/bash")
    assert json.loads(piped.stdout) == rows[0] and piped.stderr == b""
    for command, said in ((f"'{DUMP}' - <&-", "rrd-dump: standard input: cannot read: Bad file descriptor\n"),
                          (f"'{MERGE}' -o - '{a}' >&-", "rrd-merge: standard output: [^\n]+: Bad file descriptor\n"),
                          (f"'{MERGE}' -o - '{a}' >/dev/full", "rrd-merge: standard output: [^\n]+: No space left on device\n")):
        shut = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert shut.returncode == 1 and re.fullmatch(said, shut.stderr.decode()), shut
    closed = subprocess.run(f"'{DUMP}' '{a}' >&-", shell=True, capture_output=True, timeout=60)
    assert closed.returncode == 1 and b"standard output" in closed.stderr, closed
    text, code = pty_run(80, MERGE, "-o", "-", a)
    assert code == 1 and "terminal" in text and "RRF2" not in text
    assert "RRF2" in pty_run(80, "/bin/sh", "-c", f"'{MERGE}' --force -o - '{a}' | cat -v; '{MERGE}' -q --force -o - '{a}' | head -c 4")[0]


def main():
    with two_recordings() as (a, b):
        test_help_and_version()
        test_every_option_is_in_the_manual()
        test_usage_errors()
        rows = test_ndjson_rows(a)
        test_values(rows)
        test_csv(a, rows)
        test_filters(a, rows)
        test_text(a, rows)
        test_text_layout(a, rows)
        test_times(a, rows)
        test_full_text(a)
        test_tail(a, b, rows)
        test_bad_inputs(a, rows)
        test_damage(a, rows)
        test_standard_streams(a, rows)
        os.chdir("/")
    print("rrd-dump and rrd-merge: all checks hold")


main()
