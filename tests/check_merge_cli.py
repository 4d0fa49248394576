#!/usr/bin/env python3
"""Inputs of all tools, and rrd-merge's options, plan and report, from the outside."""
import contextlib
import json
import os
import re
import signal
import subprocess
import tarfile
import tempfile
import time

from cli_run import BIN, CHECK, DUMP, LOG, MERGE, SCALE, expect, rows_of, run

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts with & ignores it, and so would its children


def ids(rows):
    return [r["row_id"] for r in rows]


def content(path):
    with open(path, "rb") as file:
        return file.read()


def make(path, recording, *words):
    expect(run(LOG, path, recording, 0), 0)


def nanoseconds(text):
    """Of a time of 2026 as text, since the beginning of its second's minute."""
    day, clock = text[:-1].split("T")
    hours, minutes, seconds = clock.split(":")
    whole, fraction = seconds.split(".")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 10**9 + int(fraction)


def test_inputs():
    os.makedirs("runs/deep/er")
    os.mkdir("runs/x.rrd.spool")
    os.mkdir("runs/empty")
    make("runs/one.rrd", "one")
    make("runs/deep/two.rrd", "two")
    make("runs/deep/er/three.rbl", "three")
    os.symlink("er/three.rbl", "runs/deep/link.rrd")
    for name in ("runs/notes.txt", "runs/x.rrd.spool/no.rrd", "runs/deep/rrd", "runs/.rrd", "runs/deep/.two.rrd.Xa3Q"):
        open(name, "w").write("no recording")
    everything = rows_of("runs/one.rrd", "runs/deep/two.rrd", "runs/deep/er/three.rbl")
    assert len(everything) == 3 * 182 and rows_of("runs") == rows_of("runs/") == rows_of("runs", "runs/one.rrd") == everything
    assert rows_of("runs/*.rrd", "runs/d*p/*.rrd", "r*/*/*/*.r[ab]l") == everything and rows_of("ru*") == everything
    assert rows_of("runs/[o]ne.rrd") == rows_of("runs/one.rrd")
    os.rename("runs/deep/er", "runs/deep/e*")  # a name that looks like a glob is first a name
    assert rows_of("runs", code=1, error=r"rrd-dump: runs/deep/link\.rrd: No such file or directory\n") == everything
    os.remove("runs/deep/link.rrd")
    os.symlink("e*/three.rbl", "runs/deep/link.rrd")
    assert rows_of("runs") == everything == rows_of("runs/deep/e*", "runs/one.rrd", "runs/deep/two.rrd")
    expect(run(DUMP, "runs/empty"), 1, r"rrd-dump: runs/empty: no recording [^\n]+\n")
    expect(run(DUMP, "nothing*.rrd"), 1, r"rrd-dump: nothing\*\.rrd: no file [^\n]+\n")
    expect(run(DUMP, "nothing.rrd@+1s"), 1, r"rrd-dump: nothing\.rrd: No such file or directory\n")
    expect(run(DUMP, "nothing.rrd@+1parsec"), 1, r"rrd-dump: nothing\.rrd@\+1parsec: No such file or directory\n")
    if os.getuid() != 0:
        os.mkdir("locked", 0)
        expect(run(DUMP, "locked"), 1, r"rrd-dump: locked: Permission denied\n")

    names = ["runs/one.rrd", "runs/deep"]
    assert rows_of("--files-from=-", input="\n".join([*names, ""]).encode()) == everything
    assert rows_of("--files-from=-", input="\n\n".join(names).encode()) == everything
    open("list", "w").write("\0".join(names))
    assert rows_of("--files-from", "list", "-0") == rows_of("-0", "--files-from=list", "runs") == everything
    os.rename("runs/one.rrd", "runs/one\nline.rrd")
    found = run("find", "runs", "(", "-name", "*.rrd", "-o", "-name", "*.rbl", ")", "-type", "f", "!", "-path", "*.spool/*", "!", "-name", ".rrd", "-print0").stdout
    assert ids(rows_of("-0", "--files-from=-", input=found)) == ids(everything)
    os.rename("runs/one\nline.rrd", "runs/one.rrd")
    expect(run(DUMP, "--files-from=list"), 1, r"rrd-dump: list: a name in it holds a NUL[^\n]+\n")
    expect(run(DUMP, "--files-from=nolist"), 1, r"rrd-dump: nolist: No such file or directory\n")
    expect(run(DUMP, "--files-from=/dev/null"), 1, r"rrd-dump: /dev/null: names no input\n")
    for wrong in (["-0", "runs"], ["--files-from=-", "-"], ["--files-from=a", "--files-from=b"], [], ["--max-memory=15M", "runs"],
                  ["--max-memory=much", "runs"], ["--max-ratio=0", "runs"], ["--max-ratio=-1", "runs"], ["--drop-timeline=log_time", "runs"],
                  ["--exclude=", "runs"], ["--since=x5", "runs"]):
        expect(run(DUMP, *wrong), 2, r"rrd-dump: [^\n]+\nTry 'rrd-dump --help'\.\n")
    expect(run(DUMP, "--temporary-directory=nowhere", "runs"), 1, r"rrd-dump: nowhere: No such file or directory\n")
    expect(run(DUMP, "--temporary-directory=list", "runs"), 1, r"rrd-dump: list: Not a directory\n")
    assert rows_of("--temporary-directory=.", "--max-memory=16M", "--max-ratio=5", "runs") == everything

    with tarfile.open("old:runs.tar", "w") as archive:
        archive.add("runs/one.rrd", "h1/one.rrd")
        archive.add("runs/deep/two.rrd", "h2/two.rrd")
    assert ids(rows_of("old:runs.tar")) == ids(rows_of("runs/one.rrd", "runs/deep/two.rrd"))
    for name in ("old:runs.tar:h2/*", "old:r*.tar:h2/*", "old:runs.tar:**/two.rrd"):
        assert ids(rows_of(name)) == ids(rows_of("runs/deep/two.rrd")), name
    expect(run(DUMP, "old:r*s.zip:h2/*"), 1, r"rrd-dump: old:r\*s\.zip:h2/\*: [^\n]+\n")
    expect(run(MERGE, "-o", "old:runs.tar", "old:*.tar:h2/*"), 1, r"rrd-merge: [^\n]+: is also the output\n")

    verdicts = [json.loads(line) for line in expect(run(CHECK, "--json", "runs"), 0).splitlines()]
    assert [v["file"] for v in verdicts] == ["runs/deep/e*/three.rbl", "runs/deep/link.rrd", "runs/deep/two.rrd", "runs/one.rrd"]
    assert {v["verdict"] for v in verdicts} == {"sound"}, verdicts
    expect(run(CHECK, "--recover", "-o", "x.rrd", "runs"), 2, r"rrd-check: --recover takes one FILE[^\n]*\nTry [^\n]+\n")
    expect(run(CHECK, "--finish", "old:runs.tar:h1/*"), 2, r"rrd-check: --finish needs a file[^\n]*\nTry [^\n]+\n")
    expect(run(CHECK, "--finish", "runs/*.rrd"), 0, None)
    assert json.loads(expect(run(CHECK, "--json", "runs/one.rrd"), 0))["state"] == "finished"


def test_keep_going():
    expect(run(MERGE, "-o", "k.rrd", "runs/one.rrd", "runs/empty", "none*"), 1,
           r"rrd-merge: runs/empty: [^\n]+\nrrd-merge: none\*: [^\n]+\nrrd-merge: note: nothing was written[^\n]*\n")
    assert not os.path.exists("k.rrd")
    expect(run(MERGE, "-k", "-o", "k.rrd", "--report=k.json", "runs/one.rrd", "runs/empty", "none*"), 3, r"(rrd-merge: [^\n]+\n){2}")
    report = json.load(open("k.json"))
    assert report["failed_inputs"] == 2 and report["exit_code"] == 3 and rows_of("k.rrd") == rows_of("runs/one.rrd")
    expect(run(MERGE, "-k", "-o", "l.rrd", "runs/empty"), 1, r"rrd-merge: [^\n]+\n")
    assert not os.path.exists("l.rrd")


def test_shift():
    plain = rows_of("runs/one.rrd")
    static = lambda rows: [r for r in rows if not r["timelines"]]
    moving = lambda rows: [r for r in rows if r["timelines"]]
    for text, ns in (("+12ms", 12_000_000), ("-3.5s", -3_500_000_000), ("+1m30s", 90_000_000_000), ("-0s", 0)):
        moved = rows_of(f"runs/one.rrd@{text}")
        assert static(moved) == static(plain) and ids(moving(moved)) == ids(moving(plain))
        for a, b in zip(moving(plain), moving(moved)):
            assert {**a, "timelines": {**a["timelines"], "log_time": 0}} == {**b, "timelines": {**b["timelines"], "log_time": 0}}
            assert (nanoseconds(b["timelines"]["log_time"]) - nanoseconds(a["timelines"]["log_time"]) - ns) % (86400 * 10**9) == 0
    ordered = rows_of("runs/one.rrd@+1h", "runs/deep/two.rrd")
    stores = [r["recording"] for r in ordered if r["timelines"]]
    assert stores == ["two"] * 180 + ["one"] * 180
    # a file of that whole name wins; what was shifted stays so
    two = rows_of("runs/deep/two.rrd")
    os.rename("runs/deep/two.rrd", "two.rrd@+1h")
    assert static(rows_of("two.rrd@+1h")) + moving(rows_of("two.rrd@+1h")) == two
    assert moving(rows_of("two.rrd@+1h@-1h")) == moving(rows_of("two.rrd@+1h@-60min")) != moving(two)
    os.rename("two.rrd@+1h", "runs/deep/two.rrd")
    expect(run(MERGE, "-o", "shifted.rrd", "runs/one.rrd@+1h", "runs/deep@+2h"), 0)
    assert rows_of("shifted.rrd") == rows_of("runs/one.rrd@+1h", "runs/deep@+2h")
    expect(run(MERGE, "-o", "back.rrd", "shifted.rrd@-1h", "runs/deep/two.rrd@+1h"), 0)
    # static rows stay, and do not hold their writers' other rows
    expect(run(os.path.join(BIN, "example-scalars"), "curves.rrd"), 0)
    late, early = moving(rows_of("curves.rrd@-24h")), rows_of("curves.rrd")
    assert {r["writer"]["id"] for r in static(early)} & {r["writer"]["id"] for r in late}
    assert [r["timelines"]["log_time"] for r in late] == sorted(r["timelines"]["log_time"] for r in late)
    assert ids(late) == ids(moving(early))
    expect(run(MERGE, "-o", "late.rrd", "curves.rrd@-24h"), 0)
    assert moving(rows_of("late.rrd")) == late


def test_rows():
    every = rows_of("runs/one.rrd")
    assert rows_of("-x", "/log", "-x", "/*/boxes", "runs/one.rrd") == [
        r for r in every if r["entity"] != "/log" and not r["entity"].endswith("/boxes")]
    assert rows_of("-e", "/*/boxes", "-x", "/alpha/**", "runs/one.rrd") == [r for r in every if r["entity"] == "/beta/boxes"]
    dropped = rows_of("--drop-timeline=frame", "--drop-timeline", "nothing", "runs/one.rrd")
    assert ids(dropped) == ids(every) and not any("frame" in r["timelines"] for r in dropped)
    assert [{**r, "timelines": {k: v for k, v in r["timelines"].items() if k != "frame"}} for r in every] == dropped
    expect(run(MERGE, "--drop-timeline=frame", "-x/log", "-o", "dropped.rrd", "runs/one.rrd"), 0)
    assert rows_of("dropped.rrd") == [r for r in dropped if r["entity"] != "/log"]

    frames = rows_of("--timeline=frame", "runs/one.rrd")
    value = lambda r: r["timelines"].get("frame", -1)
    assert [value(r) for r in frames] == sorted(value(r) for r in frames) and len(frames) == len(every)
    between = lambda a, b: [r for r in frames if not r["timelines"] or a <= value(r) < b]
    assert rows_of("-tframe", "-s7", "-u", "9", "runs/one.rrd") == between(7, 9)
    assert rows_of("-tframe", "-s+7", "-u-2", "runs/one.rrd") == between(7, 27)
    assert rows_of("-tframe", "-s@-5", "-u@5", "runs/one.rrd") == between(-5, 5)
    elapsed = rows_of("-telapsed", "-s0.1s", "-u+0.2s", "runs/one.rrd")
    assert ids(elapsed) == ids([r for r in rows_of("-telapsed", "runs/one.rrd") if not r["timelines"] or 100_000_000 <= r["timelines"]["elapsed"] < 200_000_000])
    expect(run(DUMP, "-tframe", "-s1.5s", "runs/one.rrd"), 1, r"rrd-dump: --since: '1\.5s' is not a number[^\n]+\n")
    expect(run(DUMP, "-s@-5", "runs/one.rrd"), 1, r"rrd-dump: --since: '@-5' is not a time\n")


def test_usage():
    for wrong in (["-o", "x", "--compression=zstd:0"], ["-o", "x", "--compression=zstd:20"], ["-o", "x", "--compression=zstd:-8"],
                  ["-o", "x", "--compression=zstd:"], ["-o", "x", "--compression=lz4:3"], ["-o", "x", "--compression=zstandard"],
                  ["-o", "x.rrd", "--compression=zstd"], ["-o", "x.rrd.zst", "--compression=lz4"], ["-o", "x.zst", "--compression=none"],
                  ["-o", "x", "--json"], ["--dry-run", "--report=r"], ["-o", "x", "--report=x"], ["-o", "x", "--report=a", "--report=b"],
                  ["-o", "x", "--threads=0"], ["-o", "x", "--threads=2000"], ["-o", "x", "--chunk-bytes=0"], ["-o", "x", "--timeline=frame"],
                  ["-o", "x", "--chunk-rows=1e3"], ["--report=r"]):
        expect(run(MERGE, *wrong, "runs/one.rrd"), 2, r"rrd-merge: [^\n]+\nTry 'rrd-merge --help'\.\n")
    assert not any(os.path.exists(name) for name in ("x", "x.rrd", "x.rrd.zst", "x.zst", "r"))


def test_plan():
    plan = json.loads(expect(run(MERGE, "--dry-run", "--json", "runs/one.rrd@+1h", "runs/deep/two.rrd", "runs/deep/two.rrd"), 0))
    assert list(plan) == ["inputs", "clocks", "merge", "losses"]
    one, two, again = plan["inputs"]
    assert (one["name"], one["shift_ns"], one["rows"], one["size"]) == ("runs/one.rrd", 3600 * 10**9, 182, os.stat("runs/one.rrd").st_size)
    assert one["state"] == "finished" and two["state"] == "unfinished" and {**two} == {**again}
    moving = [r["timelines"]["log_time"] for r in rows_of("runs/deep/two.rrd") if r["timelines"]]
    assert (two["first"], two["last"]) == (moving[0], moving[-1])
    merge = plan["merge"]
    assert merge["rows"] == 3 * 182 and merge["chunks"] == one["chunks"] + 2 * two["chunks"]
    assert merge["repeated_chunks"] == two["chunks"] and merge["spill_size"] == 0 and merge["max_memory"] == 256 << 20
    assert merge["first"] == two["first"] and merge["last"] == one["last"] and merge["overlap_size"] > 0
    (clock,) = plan["clocks"]
    assert clock["host"] == os.uname().nodename and clock["pairs"] >= 2 and clock["steps"] == []
    assert re.fullmatch("[0-9a-f-]{36}", clock["boot_id"]) and clock["first"] <= clock["last"]
    text = expect(run(MERGE, "--dry-run", "-o", "never.rrd", "runs/one.rrd@+1h", "runs/deep/two.rrd"), 0).decode()
    for word in ("Inputs", "runs/deep/two.rrd", "+1 h 00 min", "Clocks", os.uname().nodename, "Merge", "364 rows", "overlap", "memory"):
        assert word in text, (word, text)
    assert not os.path.exists("never.rrd")
    filtered = json.loads(expect(run(MERGE, "--dry-run", "--json", "-e", "/log", "runs/one.rrd"), 0))["merge"]
    assert filtered["rows"] == 60, filtered
    with open("/dev/full", "wb") as full:
        result = subprocess.run([MERGE, "--dry-run", "runs/one.rrd"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 1 and b"standard output: No space left on device" in result.stderr, result

    expect(run(SCALE, "hostile.rrd", "chunks=300", "overlap=300", "rows=400", "bytes=400"), 0)
    hostile = json.loads(expect(run(MERGE, "--dry-run", "--json", "--max-memory=16M", "hostile.rrd"), 0))["merge"]
    assert hostile["overlap_size"] > 300 * 400 * 400 and hostile["spill_size"] > 16 << 20, hostile
    assert json.loads(expect(run(MERGE, "--dry-run", "--json", "hostile.rrd"), 0))["merge"]["spill_size"] == 0
    expect(run(SCALE, "apart.rrd", "from=7", "chunks=30", "rows=4096", "bytes=100"), 0)
    apart = json.loads(expect(run(MERGE, "--dry-run", "--json", "apart.rrd"), 0))["merge"]
    assert apart["undecoded_chunks"] == 30 and apart["undecoded_size"] > 0.9 * os.stat("apart.rrd").st_size, apart
    return hostile


def test_report():
    expect(run(MERGE, "-o", "a.rrd", "--report", "a.json", "runs"), 0)
    report = json.load(open("a.json"))
    assert list(report) == ["output", "inputs", "failed_inputs", "indexed_rows", "spool_rows", "duplicate_rows", "clamped_rows", "losses",
                            "input_size", "read_size", "spilled_size", "peak_memory", "seconds", "exit_code"]
    out = report["output"]
    rows = rows_of("a.rrd")
    assert (out["name"], out["rows"], out["size"], out["compression"]) == ("a.rrd", len(rows), os.stat("a.rrd").st_size, "lz4")
    assert out["chunks"] == json.loads(expect(run(DUMP, "-i", "--json", "a.rrd"), 0))["total"]["chunks"]
    assert re.fullmatch("[0-9a-f]{16}", out["xxh3"])
    assert [i["name"] for i in report["inputs"]] == ["runs/deep/e*/three.rbl", "runs/deep/link.rrd", "runs/deep/two.rrd", "runs/one.rrd"]
    assert report["duplicate_rows"] == 182 and report["indexed_rows"] == 4 * 182 and report["failed_inputs"] == 0
    assert report["losses"] == {"count": 0, "size": 0, "list": []} and report["exit_code"] == 0 and report["seconds"] >= 0
    assert report["input_size"] == sum(i["size"] for i in report["inputs"]) and report["read_size"] > 0 and report["peak_memory"] > 1 << 20

    piped = expect(run(MERGE, "-o", "-", "--report=b.json", "runs"), 0)
    assert piped == content("a.rrd") and json.load(open("b.json"))["output"]["xxh3"] is None
    expect(run(MERGE, "-o", "c.rrd", "--report=c.json", "runs/deep", "runs/one.rrd"), 0)
    assert json.load(open("c.json"))["output"]["xxh3"] == out["xxh3"] and content("c.rrd") == content("a.rrd")
    said = json.loads(expect(run(MERGE, "-o", "c.rrd", "--report=-", "runs/one.rrd"), 0))
    assert said["output"]["xxh3"] != out["xxh3"] and said["output"]["rows"] == 182

    damaged = bytearray(content("runs/deep/two.rrd"))
    damaged[len(damaged) // 2:len(damaged) // 2 + 40] = bytes(40)
    open("damaged.rrd", "wb").write(damaged)
    told = run(MERGE, "-o", "d.rrd", "--report=d.json", "damaged.rrd", "runs/one.rrd")
    assert told.returncode == 3
    report = json.load(open("d.json"))
    lines = [f"{l['input']}:{l['offset']}+{l['length']} {l['reason']} {l['writer'] or '-'}" for l in report["losses"]["list"]]
    assert lines == told.stderr.decode().splitlines() and len(lines) == report["losses"]["count"] > 0
    assert [(i["name"], i["losses"], i["lost_size"]) for i in report["inputs"]] == [
        ("damaged.rrd", len(lines), report["losses"]["size"]), ("runs/one.rrd", 0, 0)]
    assert report["exit_code"] == 3

    os.mkdir("readonly_report")
    before = content("a.rrd")
    expect(run(MERGE, "-o", "a.rrd", "--report=nowhere/r.json", "runs/one.rrd"), 1, r"rrd-merge: nowhere/r\.json: No such file or directory\n")
    expect(run(MERGE, "-o", "nowhere/a.rrd", "--report=r.json", "runs/one.rrd"), 1, r"rrd-merge: nowhere/a\.rrd: No such file or directory\n")
    expect(run(MERGE, "-o", "e.rrd", "--report=runs/one.rrd", "runs/one.rrd"), 1, r"rrd-merge: runs/one\.rrd: is also the output\n")
    assert content("a.rrd") == before and not os.path.exists("r.json") and not os.path.exists("e.rrd")
    assert not [f for f in os.listdir() if f.startswith(".")], os.listdir()


def test_compression():
    rows = rows_of("runs/one.rrd")
    sizes = {}
    for how, name in (("none", "none.rrd"), ("lz4", "lz4.rrd"), ("zstd", "zstd.rrd.zst"), ("zstd:-5", "fast.rrd.zst"), ("zstd:19", "small.rrd.zst")):
        said = json.loads(expect(run(MERGE, f"--compression={how}", "-o", name, "--report=-", "runs/one.rrd"), 0))
        assert said["output"]["compression"] == how.split(":")[0] and rows_of(name) == rows
        sizes[how] = os.stat(name).st_size
    expect(run(MERGE, "-o", "named.rrd.zst", "runs/one.rrd"), 0)
    assert content("named.rrd.zst") == content("zstd.rrd.zst") == expect(run(MERGE, "-o", "-", "--compression=zstd:3", "runs/one.rrd"), 0)
    assert sizes["zstd:19"] <= sizes["zstd"] <= sizes["zstd:-5"] and sizes["lz4"] < sizes["none"], sizes
    plain = run("zstd", "-qdc", "zstd.rrd.zst")
    open("plain.rrd", "wb").write(expect(plain, 0))
    assert rows_of("plain.rrd") == rows
    expect(run(CHECK, "-q", "plain.rrd", "zstd.rrd.zst", "fast.rrd.zst"), 0)
    expect(run(CHECK, "--recover", "-o", "recovered.rrd.zst", "runs/one.rrd"), 0, None)
    assert content("recovered.rrd.zst")[:3] != b"RRF" and rows_of("recovered.rrd.zst") == rows


def test_same_bytes(hostile):
    expect(run(MERGE, "-o", "m1.rrd", "--threads=1", "hostile.rrd", "apart.rrd", "runs"), 0)
    expect(run(MERGE, "-o", "m2.rrd", "--threads=3", "--max-memory=16M", "runs", "apart.rrd", "hostile.rrd", "--report=m2.json"), 0)
    assert content("m1.rrd") == content("m2.rrd"), "threads, memory or order of arguments matter"
    assert json.load(open("m2.json"))["spilled_size"] > 0
    expect(run(MERGE, "-o", "m3.rrd", "m1.rrd"), 0)
    assert content("m3.rrd") == content("m1.rrd"), "merging again changes something"
    expect(run(MERGE, "-o", "s1.rrd", "hostile.rrd", "runs/one.rrd"), 0)
    expect(run(MERGE, "-o", "s2.rrd", "s1.rrd", "apart.rrd", "runs/deep"), 0)
    assert content("s2.rrd") == content("m1.rrd"), "stages matter"
    expect(run(MERGE, "-o", "p.rrd", "--report=p.json", "apart.rrd"), 0)
    expect(run(MERGE, "-o", "q.rrd", "--report=q.json", "--recode", "apart.rrd"), 0)
    assert json.load(open("p.json"))["output"]["passed_chunks"] == 30 and json.load(open("q.json"))["output"]["passed_chunks"] == 0
    assert rows_of("p.rrd") == rows_of("q.rrd") == rows_of("apart.rrd")


def test_provenance():
    """Which writer on which host logged a row is told after merging twice as before."""
    for name, w in (("w1.rrd", 40), ("w2.rrd", 20)):
        expect(run(SCALE, name, f"writers={w}", "chunks=2", "rows=20", f"entities={w // 10}", "step=1000"), 0)
    expect(run(MERGE, "--recording-id=other", "-o", "w3.rrd", "w1.rrd"), 0)
    expect(run(MERGE, "-o", "w4.rrd", "w3.rrd", "runs/one.rrd"), 0)
    expect(run(MERGE, "-o", "w5.rrd", "w4.rrd", "runs/deep"), 0)
    who = lambda rows: sorted((r["row_id"], json.dumps(r["writer"]), r["row"]) for r in rows)
    assert who(rows_of("w5.rrd")) == who(rows_of("w1.rrd", "runs"))
    assert len({r["writer"]["host"] for r in rows_of("w1.rrd")}) == 3
    assert ids(rows_of("-w", "host:host-1", "w5.rrd")) == ids(rows_of("-w", "host:host-1", "w1.rrd"))
    verdict = json.loads(expect(run(CHECK, "--json", "w5.rrd"), 0))
    assert verdict["verdict"] == "sound" and verdict["unknown_writers"] == 0, verdict


def holds_output(pid):
    """Whether the process has made the file of an output, which has no name where the file system allows it."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return any(name.startswith(os.getcwd()) and ("(deleted)" in name or ".never.json" in name) for name in names)


def makes_nameless():
    try:
        os.close(os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600))
        return True
    except OSError:
        return False


def test_interrupted():
    """Ctrl-C leaves nothing behind, wherever it comes; where files without names can be made, nothing does."""
    before = set(os.listdir())
    for number in [signal.SIGINT, signal.SIGTERM] + [signal.SIGKILL] * makes_nameless():
        reading = subprocess.Popen([MERGE, "-o", "never.rrd", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        os.mkfifo("fifo")
        writing = subprocess.Popen([MERGE, "-o", "fifo", "--report=never.json", "runs/one.rrd"], stderr=subprocess.PIPE)
        for _ in range(12000):
            if holds_output(writing.pid):
                break
            time.sleep(0.01)
        else:
            raise AssertionError("the report is not being prepared")
        for process in (reading, writing):
            process.send_signal(number)
            assert process.wait(timeout=60) == -number and process.stderr.read() == b"", process.args
        reading.stdin.close()
        os.remove("fifo")
        assert set(os.listdir()) == before, set(os.listdir()) ^ before


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        test_inputs()
        test_keep_going()
        test_shift()
        test_rows()
        test_usage()
        hostile = test_plan()
        test_report()
        test_compression()
        test_same_bytes(hostile)
        test_provenance()
        test_interrupted()
        os.chdir("/")
    print("inputs and rrd-merge: all checks hold")


if __name__ == "__main__":
    main()
