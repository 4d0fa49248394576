"""Torn records against Rerun: records are torn at page boundaries and at any byte, others append behind them, and Rerun
counts every row to the end of the file.

usage: test_heal.py BIN_DIRECTORY
"""

import os
import random
import re
import subprocess
import sys
import tempfile

BIN = sys.argv[1]
RERUN = os.path.join(os.path.dirname(sys.executable), "rerun")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def rows_of(path):
    """Rows by Rerun's own decoder, which stops at what it cannot read."""
    text = run(RERUN, "rrd", "stats", path)
    assert "rror" not in text, text
    found = re.search(r"^num_rows = (.+)$", text, re.MULTILINE)
    assert found, text
    return int(re.sub(r"\D", "", found[1]))  # thousands are set apart


with tempfile.TemporaryDirectory() as directory:
    random.seed(3)
    sizes = [4096 * n for n in range(1, 16)] + [random.randrange(1, 61000) for _ in range(25)] + list(range(1, 9))
    path = os.path.join(directory, "torn.rrd")
    # log_torn appends a record cut at each size, and after it rows of its own; it prints how many rows whole frames hold.
    expected = int(run(os.path.join(BIN, "log_torn"), path, *map(str, sizes)))
    counted = rows_of(path)
    assert counted == expected, f"Rerun counts {counted} rows of {expected}"
    run(os.path.join(BIN, "rrd-dump"), "--info", path)
    print(f"ok   {counted} rows behind {len(sizes)} torn records")
