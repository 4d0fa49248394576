#!/usr/bin/env python3
"""rrd-dump shows every archetype's values: from a recording of the official SDK, and from ours with the same data.

usage: test_dump_official.py BIN_DIR [KEEP_DIR]

KEEP_DIR, if given, keeps official.rrd and expected.json (entity -> column -> instances).
"""

import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import archetype_values  # noqa: E402
import numpy as np  # noqa: E402

HALF = {"GaussianSplats3D:sh_coefficients"}
LOG_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
failures = 0


def expect(condition, message):
    global failures
    if not condition:
        failures += 1
        print(f"FAIL {message}")


def same(column, shown, wanted):
    if column in HALF:  # shown with as few digits as tell half floats apart
        return np.array_equal(np.array(shown, np.float16), np.array(wanted, np.float16))
    return shown == wanted


def dump(bin_dir, path):
    """entity -> rows, as rrd-dump tells."""
    done = subprocess.run([os.path.join(bin_dir, "rrd-dump"), "--format", "ndjson", path], capture_output=True, text=True)
    expect(done.returncode == 0, f"rrd-dump {path} exits {done.returncode}: {done.stderr[-2000:]}")
    expect(done.stderr == "", f"rrd-dump {path} complains: {done.stderr[-2000:]}")
    rows = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        rows.setdefault(row["entity"], []).append(row)
    return rows


def check(name, rows, expected, ours):
    entities = {entity for entity in rows if not entity.startswith("/__")}
    expect(entities == set(expected), f"{name}: entities that only one side has: {entities ^ set(expected)}")
    cells = 0
    for entity in sorted(entities & set(expected)):
        expect(len(rows[entity]) == 1, f"{name}: {entity} has {len(rows[entity])} rows")
        row = rows[entity][0]
        timelines = row["timelines"]
        if entity.startswith("/static/"):
            expect(timelines == {}, f"{name}: static {entity} has timelines {timelines}")
        else:
            expect(LOG_TIME.match(timelines.get("log_time", "")), f"{name}: {entity} has timelines {timelines}")
        if ours:
            expect(isinstance(row["row"], int), f"{name}: {entity} row {row['row']}")
            expect(row["writer"] and row["writer"]["thread"] == "log_archetypes", f"{name}: {entity} writer {row['writer']}")
        else:
            expect(row["writer"] is None and row["row"] is None, f"{name}: {entity} is not ours, but has a writer")
        shown = row["components"]
        expect(set(shown) == set(expected[entity]), f"{name}: {entity} shows {sorted(shown)}")
        for column, wanted in expected[entity].items():
            cells += 1
            if column in shown:
                expect(same(column, shown[column], wanted), f"{name}: {entity} {column}: {shown[column]} is not {wanted}")
    expect(cells > 500, f"{name}: only {cells} cells compared")
    return cells


def main():
    bin_dir = sys.argv[1]
    with tempfile.TemporaryDirectory() as scratch:
        keep = sys.argv[2] if len(sys.argv) > 2 else scratch
        official, ours = os.path.join(keep, "official.rrd"), os.path.join(scratch, "ours.rrd")
        expected = archetype_values.save_official(official)
        with open(os.path.join(keep, "expected.json"), "w", encoding="utf-8") as file:
            json.dump(expected, file, indent=1, ensure_ascii=False)
        with open(os.path.join(keep, "expected.json"), encoding="utf-8") as file:
            expected = json.load(file)
        done = subprocess.run([os.path.join(bin_dir, "log_archetypes"), ours], capture_output=True, text=True)
        expect(done.returncode == 0, f"log_archetypes exits {done.returncode}: {done.stderr}")
        cells = check("official", dump(bin_dir, official), expected, False)
        cells += check("ours", dump(bin_dir, ours), expected, True)
    print(f"{cells} cells agree" if not failures else f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
