#!/usr/bin/env python3
"""The plain stream of a run.rrd.zst is what Rerun itself verifies, with every row, also while it is not finished.

usage: test_zst.py BIN_DIR
"""

import os
import re
import subprocess
import sys
import tempfile

BIN = sys.argv[1]
RERUN = os.path.join(os.path.dirname(sys.executable), "rerun")


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=250, **more)


def unpack(path, plain):
    with open(plain, "wb") as out:
        subprocess.run(["zstd", "-q", "-dc", path], stdout=out, check=True)


def rows_of(plain):
    """As Rerun counts them."""
    stats = run(RERUN, "rrd", "stats", plain)
    counted = re.search(r"^num_rows = ([\d ]+)$", stats.stdout.replace("\u2009", " "), re.MULTILINE)
    assert stats.returncode == 0 and counted, f"rerun rrd stats: {stats.returncode}\n{stats.stdout}"
    assert not re.search(r"ERROR|WARN", stats.stdout), stats.stdout
    return int(re.sub(r"\D", "", counted.group(1)))


def own_rows(path, finish=False):
    """As rrd-check counts them."""
    done = run(os.path.join(BIN, "rrd-check"), *(["--finish"] if finish else []), path)
    assert done.returncode == 0 and ": sound" in done.stdout, done.stdout
    return int(re.search(r"([\d,]+) rows", done.stdout).group(1).replace(",", ""))


def main():
    with tempfile.TemporaryDirectory(prefix="test_zst.") as directory:
        path, plain = os.path.join(directory, "run.rrd.zst"), os.path.join(directory, "plain.rrd")
        done = run(os.path.join(BIN, "log_stress"), path, "4", "4", "2000", "16", "16384")
        assert done.returncode == 0, done.stdout
        unpack(path, plain)
        rows = own_rows(path)
        assert rows >= 32000
        assert rows_of(plain) == rows
        assert own_rows(path, finish=True) == rows
        unpack(path, plain)
        verified = run(RERUN, "rrd", "verify", plain)
        assert verified.returncode == 0 and "without error" in verified.stdout, verified.stdout
        assert rows_of(plain) == rows
        # Merged to one, from it and from the plain stream: the same bytes.
        merged = [os.path.join(directory, f"merged{i}.rrd.zst") for i in range(2)]
        for source, target in zip((path, plain), merged):
            done = run(os.path.join(BIN, "rrd-merge"), "-o", target, source)
            assert done.returncode == 0, done.stdout
        with open(merged[0], "rb") as a, open(merged[1], "rb") as b:
            assert a.read() == b.read(), "merged from the plain stream it is another one"
        unpack(merged[0], plain)
        verified = run(RERUN, "rrd", "verify", plain)
        assert verified.returncode == 0 and "without error" in verified.stdout, verified.stdout
        assert rows_of(plain) == rows
        # Killed in the middle: what is left is read to its end.
        seed = run(os.path.join(BIN, "log_chaos"), "--zst", "--keep", "--rounds", "1", "--seed", "11", "--scenario", "kill,exit,crash",
                   "--directory", directory)
        assert seed.returncode == 0, seed.stdout
        stored = int(re.search(r", (\d+) stored in ", seed.stdout).group(1))
        unpack(os.path.join(directory, "seed-11", "chaos.rrd.zst"), plain)
        assert rows_of(plain) == stored
        print(f"{rows} and {stored} rows: Rerun counts the same")


main()
