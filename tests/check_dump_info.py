#!/usr/bin/env python3
"""rrd-dump --info and its lanes from the outside, and several recordings, on those that log_cli made."""
import json
import os
import re
import struct

from cli_run import DUMP, ROWS, expect, pty_run, rows_of, run, two_recordings


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


def main():
    with two_recordings() as (a, b):
        rows = rows_of(a)
        test_info(a, rows)
        test_lanes(a, rows)
        test_missing_chunks(a)
        test_svg(a)
        test_several_recordings(a, b)
        os.chdir("/")
    print("rrd-dump --info: all checks hold")


main()
