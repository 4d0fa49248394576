"""What the tests here share: running programs, and the rows of a file as rrd-dump tells them."""

import json
import subprocess
import sys


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, timeout=800)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def rows(bin_directory, file):
    """(entity, row id) -> (timelines, components) of every row."""
    found = {}
    for line in run(bin_directory / "rrd-dump", "--format", "ndjson", file).splitlines():
        row = json.loads(line)
        key = (row["entity"], row["row_id"])
        assert key not in found, f"{file}: {key} twice"
        found[key] = (row["timelines"], row["components"])
    return found


def same_rows(name, ours, theirs):
    assert theirs.keys() == ours.keys(), (
        f"{name}: {len(ours.keys() - theirs.keys())} rows lost, {len(theirs.keys() - ours.keys())} rows made up")
    different = [key for key in ours if ours[key] != theirs[key]]
    assert not different, f"{name}: {len(different)} rows differ, e.g. {different[0]}: {ours[different[0]]} {theirs[different[0]]}"
