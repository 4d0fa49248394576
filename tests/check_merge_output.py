#!/usr/bin/env python3
"""rrd-merge's output from the outside: the same bytes in any order, ids, filters, files and their modes."""
import json
import os
import re
import subprocess

from cli_run import DUMP, MERGE, ROWS, expect, pty_run, rows_of, run, two_recordings


def test_merged(a, b, rows):
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
    os.mkdir("directory")
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
    with two_recordings() as (a, b):
        rows = rows_of(a)
        test_merged(a, b, rows)
        test_merge_output(a, rows)
        os.chdir("/")
    print("rrd-merge's output: all checks hold")


main()
