#!/usr/bin/env python3
"""rrd-dump and rrd-merge from the outside: exit codes, messages, formats and values, on recordings made by log_cli."""
import base64
import csv
import datetime
import fcntl
import io
import json
import math
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios

BIN = sys.argv[1]
DUMP, MERGE, LOG = (os.path.join(BIN, name) for name in ("rrd-dump", "rrd-merge", "log_cli"))
ROWS = 30  # of each of log_cli's loops


def run(*command, stdin=subprocess.DEVNULL, **more):
    return subprocess.run([str(c) for c in command], stdin=stdin, capture_output=True, timeout=120, **more)


def expect(result, code, error=None):
    """Asserts the exit code and, as a regular expression, all of standard error."""
    text = result.stderr.decode()
    assert result.returncode == code, f"{result.args}: exit {result.returncode}, not {code}: {text}"
    if error is None:
        assert text == "", f"{result.args}: {text}"
    else:
        assert re.fullmatch(error, text), f"{result.args}: {text!r} is not {error!r}"
    return result.stdout


def rows_of(*arguments, code=0, error=None):
    return [json.loads(line) for line in expect(run(DUMP, "-F", "ndjson", *arguments), code, error).splitlines()]


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


def pty_run(columns, *command, environment=None):
    """Output of a command whose standard output is a terminal of that width, and its exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm"} | (environment or {})
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    output = b""
    try:
        while block := os.read(master, 65536):
            output += block
    except OSError:  # the terminal's other side is closed
        pass
    os.close(master)
    return output.decode().replace("\r\n", "\n"), process.wait(timeout=60)


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


def test_info(a, rows):
    info = json.loads(expect(run(DUMP, "--info", "--json", a), 0))
    assert list(info) == ["inputs", "recordings", "writers", "entities", "timelines", "compression", "losses", "total", "lanes"]
    tally = {"rows", "static_rows", "spool_rows", "chunks", "size", "uncompressed_size", "first", "last", "rate_hz"}
    assert len(info["inputs"]) == 1 and info["inputs"][0]["name"] == a
    assert info["inputs"][0]["input_size"] == os.path.getsize(a) and tally <= set(info["inputs"][0])
    recording, = info["recordings"]
    assert (recording["application_id"], recording["recording_id"]) == ("check_cli", "rec_a")
    assert recording["rows"] == info["total"]["rows"] == len(rows) and recording["static_rows"] == 2
    assert recording["first"] == min(r["timelines"]["log_time"] for r in rows if r["timelines"])
    assert recording["last"] == max(r["timelines"]["log_time"] for r in rows if r["timelines"])
    writers = {w["id"]: w for w in info["writers"]}
    assert len(writers) == 3
    for id, writer in writers.items():
        mine = [r for r in rows if r["writer"]["id"] == id]
        assert writer["rows"] == len(mine) and writer["size"] > 0 and tally <= set(writer)
        assert all(writer[key] == mine[0]["writer"][key] for key in ("host", "pid", "tid", "thread"))
        assert writer["program"] == "log_cli"
    entities = {e["entity"]: e for e in info["entities"]}
    assert set(entities) == {r["entity"] for r in rows} and list(entities) == sorted(entities)
    for name, entity in entities.items():
        mine = [r for r in rows if r["entity"] == name]
        assert entity["rows"] == len(mine) and tally <= set(entity)
        assert entity["components"] == {c: sum(c in r["components"] for r in mine) for r in mine for c in r["components"]}
    assert entities["/plot"]["rate_hz"] > 0 and entities["/__properties"]["rate_hz"] == 0
    timelines = {t["name"]: (t["kind"], t["min"], t["max"]) for t in info["timelines"]}
    assert timelines == {"log_time": ("timestamp", recording["first"], recording["last"]),
                         "elapsed": ("duration", 0, (ROWS - 1) * 33333333), "frame": ("sequence", 0, ROWS - 1)}
    compression = info["compression"]
    assert compression["lz4_chunks"] + compression["none_chunks"] == info["total"]["chunks"]
    assert info["losses"] == {"count": 0, "size": 0}
    text = expect(run(DUMP, "--info", a), 0).decode()
    for word in ("Recordings", "Writers", "Timelines", "Entities", "Compression", "rec_a", "alpha", "/plot", "frame"):
        assert word in text, word
    assert max(map(len, expect(run(DUMP, "--info", "--width=60", a), 0).decode().splitlines())) <= 60


def test_lanes(a, rows):
    info = json.loads(expect(run(DUMP, "--info", "--json", a), 0))
    lanes = info["lanes"]
    moving = [r for r in rows if r["timelines"]]
    assert lanes["timeline"] == "log_time" and lanes["begin"] == min(r["timelines"]["log_time"] for r in moving)
    assert lanes["end"] == max(r["timelines"]["log_time"] for r in moving) and lanes["bin_size"] > 0
    assert {l["id"]: l["rows"] for l in lanes["writers"]} == {
        w: sum(r["writer"]["id"] == w for r in moving) for w in {r["writer"]["id"] for r in moving}}
    assert [l["entity"] for l in lanes["entities"]] == sorted({r["entity"] for r in moving})
    for lane in lanes["writers"] + lanes["entities"]:
        assert len(lane["bins"]) == 120 and abs(sum(lane["bins"]) - lane["rows"]) < 0.2, lane
        assert lane["gaps"] == [] or lane["gaps"][0]["from"] < lane["gaps"][0]["to"]
        assert lane.get("missing", []) == [] and lane["spool_rows"] == 0
    few = json.loads(expect(run(DUMP, "--info", "--json", "--lanes=1", a), 0))["lanes"]
    assert [list(l)[0] for l in few["entities"]] == ["entity", "others"] and few["entities"][1]["others"] == 4
    assert sum(l["rows"] for l in few["entities"]) == len(moving) == sum(l["rows"] for l in few["writers"])
    by_frame = json.loads(expect(run(DUMP, "--info", "--json", "--timeline=frame", a), 0))["lanes"]
    assert (by_frame["timeline"], by_frame["begin"], by_frame["end"]) == ("frame", 0, ROWS - 1)

    text = expect(run(DUMP, "--info", a), 0).decode()
    activity = text[text.index("Activity"):text.index("\n\n", text.index("Activity"))]
    assert "alpha" in activity and "/alpha/boxes" in activity and "each lane up to its own peak" in activity
    assert all(ord(c) < 128 for c in activity.splitlines()[2]), "more than ASCII in a pipe"
    blocks = expect(run(DUMP, "--info", "--unicode", a), 0).decode()
    assert any(c in blocks for c in "▁▂▃▄▅▆▇█") and "Activity" not in expect(run(DUMP, "--info", "--lanes=0", a), 0).decode()
    for width in (30, 60, 80, 120, 200):
        for more in ("--unicode", "--ascii"):
            lines = expect(run(DUMP, "--info", more, f"--width={width}", a), 0).decode().splitlines()
            assert max(map(len, lines)) <= width, (width, max(lines, key=len))
    for locale, drawn in (("C.UTF-8", True), ("C", False)):
        screen = pty_run(100, DUMP, "--info", a, environment={"LC_ALL": locale})[0]
        assert any(c in screen for c in "▁▂▃▄▅▆▇█") == drawn, locale


def test_missing_chunks(a):
    """A chunk cut out of the middle is told by its number."""
    content = open(a, "rb").read()
    chunks, at = [], 12
    while at < len(content):
        kind, size = struct.unpack_from("<QQ", content, at)
        if kind == 2:
            chunks.append((at + 16, size))
        at += 16 + size
    assert len(chunks) > 5
    told = []
    for offset, size in chunks:  # a writer's last chunk leaves no trace, nor do those of one without a lane
        garbled = bytearray(content)
        garbled[offset + size // 3:offset + size // 3 + 8] = bytes(8)
        open("gaps.rrd", "wb").write(garbled)
        result = run(DUMP, "--info", "--json", "gaps.rrd")
        assert result.returncode == 3, result
        missing = [m for lane in json.loads(result.stdout)["lanes"]["writers"] for m in lane["missing"]]
        assert sum(m["chunks"] for m in missing) <= 1, missing
        assert all(m["from"] <= m["to"] for m in missing), missing
        if missing:
            told.append(bytes(garbled))
    assert len(told) == 2 * (3 - 1), len(told)
    open("gaps.rrd", "wb").write(told[0])
    drawn = run(DUMP, "--info", "--unicode", "gaps.rrd").stdout.decode()
    assert "✗" in drawn and re.search(r"chunk \d+ missing, between", drawn), drawn
    selected = run(DUMP, "--info", "--unicode", "-e", "/log", "gaps.rrd").stdout.decode()
    assert "✗" not in selected, "what was not selected is not missing"
    assert "chunks missing" in run(DUMP, "--svg=-", "gaps.rrd").stdout.decode()


def test_svg(a):
    import xml.etree.ElementTree as tree
    expect(run(DUMP, "--svg=lanes.svg", a), 0)
    assert "Writers" in expect(run(DUMP, "--svg=lanes.svg", a), 0).decode()
    drawn = expect(run(DUMP, "--svg=-", a), 0)
    assert drawn == open("lanes.svg", "rb").read()
    root = tree.fromstring(drawn)
    name = lambda e: e.tag.rsplit("}")[-1]
    assert name(root) == "svg" and not [e for e in root.iter() if name(e) in ("script", "image", "use", "foreignObject")]
    words = ["".join(e.itertext()) for e in root.iter() if name(e) in ("text", "title")]
    assert any("alpha" in w for w in words) and any("/alpha/boxes" in w for w in words) and any("row" in w for w in words)
    assert b"http" not in drawn.replace(b"http://www.w3.org/2000/svg", b"") and b"prefers-color-scheme:dark" in drawn
    expect(run(DUMP, "--svg=" + a, a), 1, rf"rrd-dump: {a}: is also the output\n")
    expect(run(DUMP, "--svg=nowhere/x.svg", a), 1, r"rrd-dump: nowhere/x\.svg: No such file or directory\n")
    expect(run(DUMP, "--svg=-", "--json", a), 2, r"rrd-dump: [^\n]+\nTry [^\n]+\n")
    assert not [n for n in os.listdir() if n.startswith(".")], os.listdir()


def test_several_recordings(a, b):
    rows = rows_of(a, b)
    assert {r["recording"] for r in rows} == {"rec_a", "rec_b"} and all(list(r)[-1] == "recording" for r in rows)
    assert len(rows) == 2 * len(rows_of(a)) == 2 * len(rows_of(a, a)), "a row seen twice is one row"
    assert [r["row_id"] for r in rows] == [r["row_id"] for r in rows_of(b, a)]
    header = expect(run(DUMP, "-F", "csv", a, b), 0).decode().splitlines()[0].split(",")
    assert header[:10] == ["entity", "log_time", "row_id", "writer", "host", "pid", "tid", "thread", "row", "recording"]
    assert "rec_b" in expect(run(DUMP, a, b), 0).decode()
    for width in (0, 80, 200):
        lines = [l for l in expect(run(DUMP, f"--width={width}", a, b), 0).decode().splitlines() if "/log " in l]
        assert len({l.index("/log ") for l in lines}) == 1, (width, "recording ids are no column")


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


def test_merge(a, b, rows):
    assert expect(run(MERGE, "-o", "ab.rrd", a, b), 0) == b""
    expect(run(MERGE, "-o", "ba.rrd", b, a), 0)
    ab = open("ab.rrd", "rb").read()
    assert ab == open("ba.rrd", "rb").read(), "the order of the arguments matters"
    assert ab == expect(run(MERGE, "-o", "-", a, b), 0), "standard output differs"
    expect(run(MERGE, "-o", "one.rrd", a), 0)
    expect(run(MERGE, "-o", "staged.rrd", "one.rrd", b), 0)
    assert open("staged.rrd", "rb").read() == ab, "merging in stages differs"
    expect(run(MERGE, "-o", "again.rrd", "ab.rrd", a, b), 0)
    assert open("again.rrd", "rb").read() == ab, "merging again differs"
    assert rows_of("one.rrd") == rows and rows_of("ab.rrd") == rows_of(a, b)
    assert ab.endswith(b"RRF2FOOT\x01\0\0\0")

    expect(run(MERGE, "--recording-id=both", "--application-id=app", "-o", "fused.rrd", a, b), 0)
    info = json.loads(expect(run(DUMP, "-i", "--json", "fused.rrd"), 0))
    assert [(r["application_id"], r["recording_id"]) for r in info["recordings"]] == [("app", "both")]
    assert len(rows_of("fused.rrd")) == len(rows_of(a, b)) and list(rows_of("fused.rrd")[0])[-1] == "components"

    expect(run(MERGE, "--compression=none", "--chunk-rows=7", "-o", "plain.rrd", a), 0)
    info = json.loads(expect(run(DUMP, "-i", "--json", "plain.rrd"), 0))
    assert info["compression"]["lz4_chunks"] == 0 and info["total"]["chunks"] >= len(rows) / 7
    assert rows_of("plain.rrd") == rows
    expect(run(MERGE, "-e", "/log", "-w", "thread:beta", "--since=+0s", "-o", "few.rrd", a), 0)
    assert rows_of("few.rrd") == [r for r in rows if r["entity"] == "/log" and r["writer"]["thread"] == "beta"]


def test_merge_output(a, rows):
    before = open(a, "rb").read()
    os.symlink(a, "link.rrd")
    os.link(a, "hard.rrd")
    for output in (a, "./" + a, "link.rrd", "hard.rrd"):
        expect(run(MERGE, "-o", output, a), 1, r"rrd-merge: [^\n]+: is also the output\n")
    os.remove("link.rrd")
    os.remove("hard.rrd")
    assert open(a, "rb").read() == before
    expect(run(MERGE, "-o", "directory", a), 1, r"rrd-merge: directory: Is a directory\n")
    expect(run(MERGE, "-o", "nowhere/x.rrd", a), 1, r"rrd-merge: nowhere/x\.rrd: No such file or directory\n")
    expect(run(MERGE, "-o", "/dev/full", a), 1, r"rrd-merge: [^\n]*No space left on device[^\n]*\n")
    expect(run(MERGE, "-o", "/dev/null", a), 0)

    old_mask = os.umask(0o027)
    expect(run(MERGE, "-o", "mode.rrd", a), 0)
    os.umask(old_mask)
    assert os.stat("mode.rrd").st_mode & 0o777 == 0o640
    os.chmod("mode.rrd", 0o604)
    os.symlink("mode.rrd", "to_mode.rrd")
    expect(run(MERGE, "-o", "to_mode.rrd", "-e", "/log", a), 0)
    assert os.path.islink("to_mode.rrd") and os.stat("mode.rrd").st_mode & 0o777 == 0o604
    assert len(rows_of("mode.rrd")) == 2 * ROWS

    limited = f"trap '' XFSZ; ulimit -f 1; '{MERGE}' -o mode.rrd '{a}' '{a}'"
    result = subprocess.run(["/bin/bash", "-c", limited], capture_output=True, timeout=60)
    assert result.returncode == 1 and b"File too large" in result.stderr, result
    assert len(rows_of("mode.rrd")) == 2 * ROWS, "a failed merge has touched the old output"
    assert not [name for name in os.listdir() if name.startswith(".")], os.listdir()

    text = run(MERGE, "-v", "-o", "v.rrd", a).stderr.decode()
    assert re.fullmatch(rf"1 input \([\d.]+ KiB\), {len(rows)} rows -> [\d.]+ KiB in [\d.]+ s[^\n]*\n", text), text
    assert "rows" in pty_run(80, MERGE, "-o", "v.rrd", a)[0] and pty_run(80, MERGE, "-q", "-o", "v.rrd", a) == ("", 0)


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        a, b = "a.rrd", "b.rrd"
        expect(run(LOG, a, "rec_a", 0), 0)
        expect(run(LOG, b, "rec_b", 1000), 0)
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
        test_info(a, rows)
        test_lanes(a, rows)
        test_missing_chunks(a)
        test_svg(a)
        test_several_recordings(a, b)
        test_tail(a, b, rows)
        test_bad_inputs(a, rows)
        test_damage(a, rows)
        test_standard_streams(a, rows)
        test_merge(a, b, rows)
        test_merge_output(a, rows)
        os.chdir("/")
    print("rrd-dump and rrd-merge: all checks hold")


main()
