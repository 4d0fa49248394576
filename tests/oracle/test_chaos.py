#!/usr/bin/env python3
"""After chaos the stock decoder reads every recording to its end and counts as many rows as we do.

usage: test_chaos.py BIN_DIR [KILLS [SEED]]
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

BIN = sys.argv[1]
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 300
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(10**9)
RERUN = os.path.join(os.path.dirname(sys.executable), "rerun")


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280)


def one_round(directory, seed):
    """Kills and rows of a round."""
    done = run(os.path.join(BIN, "log_chaos"), "--seed", str(seed), "--rounds", "1", "--keep", "--directory", directory)
    print(done.stdout, end="")
    assert done.returncode == 0, "the round failed"
    stored = int(re.search(r", (\d+) stored in ", done.stdout).group(1))
    kills = int(re.search(r", (\d+) kills, ", done.stdout).group(1))
    path = os.path.join(directory, f"seed-{seed}", "chaos.rrd")
    if stored == 0 and not os.path.exists(path):
        return kills, 0
    stats = run(RERUN, "rrd", "stats", path)
    counted = re.search(r"^num_rows = ([\d ]+)$", stats.stdout.replace("\u2009", " "), re.MULTILINE)
    assert stats.returncode == 0 and counted, f"rerun rrd stats {path}: {stats.returncode}\n{stats.stdout}"
    assert not re.search(r"ERROR|WARN", stats.stdout), stats.stdout
    rows = int(re.sub(r"\D", "", counted.group(1)))
    assert rows == stored, f"{path}: rerun rrd stats counts {rows} rows, rrdkit {stored}"
    return kills, rows


def main():
    directory = tempfile.mkdtemp(prefix="test_chaos.")
    seed, kills, rows = SEED, 0, 0
    while kills < KILLS:
        round_kills, round_rows = one_round(directory, seed)
        shutil.rmtree(os.path.join(directory, f"seed-{seed}"))  # a failed round is kept
        kills, rows, seed = kills + round_kills, rows + round_rows, seed + 1
    os.rmdir(directory)
    print(f"{seed - SEED} rounds from seed {SEED}, {kills} kills: rerun rrd stats counts all {rows} rows")


main()
