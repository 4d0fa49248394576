#!/usr/bin/env python3
"""Runs every example and reads its recording back with rrd-dump: each row is there, once, in order, with what was logged."""

import collections
import json
import os
import re
import subprocess
import sys
import tempfile

bin_dir = sys.argv[1]
failures = []


def check(condition, what):
    print(("ok   " if condition else "FAIL ") + what)
    if not condition:
        failures.append(what)


def run(name, *arguments):
    return subprocess.run(
        [os.path.join(bin_dir, name), *arguments], check=True, capture_output=True, text=True, timeout=300
    ).stdout


def rows(path):
    """The rows of a recording, without its properties; their total order is checked on the way."""
    all_rows = [json.loads(line) for line in run("rrd-dump", "--format", "ndjson", path).splitlines()]
    data = [row for row in all_rows if not row["entity"].startswith("/__properties")]
    times = [row["timelines"]["log_time"] for row in data if row["timelines"]]
    check(times == sorted(times), f"{os.path.basename(path)}: {len(data)} rows in time order")
    last = collections.defaultdict(lambda: -1)
    in_order = True
    for row in all_rows:
        in_order &= row["row"] > last[row["writer"]["id"]]
        last[row["writer"]["id"]] = row["row"]
    check(in_order, f"{os.path.basename(path)}: each of {len(last)} writers in its own order")
    return data


def of(data, entity):
    return [row for row in data if row["entity"] == entity]


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "threads.rrd")
    run("example-threads", path)
    data = rows(path)
    colors = set()
    for thread in range(10):
        own = of(data, f"/thread/{thread}")
        check([row["timelines"]["frame"] for row in own] == list(range(1000)), f"thread/{thread}: frames 0 to 999")
        check(len({row["writer"]["tid"] for row in own}) == 1, f"thread/{thread}: one writer")
        check(
            all(
                len(row["components"]["Boxes2D:half_sizes"]) == 5
                and len(row["components"]["Boxes2D:centers"]) == 5
                and all(2 <= size <= 10 for pair in row["components"]["Boxes2D:half_sizes"] for size in pair)
                and all(30 * thread <= x <= 30 * thread + 20 for x, _ in row["components"]["Boxes2D:centers"])
                for row in own
            ),
            f"thread/{thread}: five boxes a row, in its own column",
        )
        colors |= {color for row in own for color in row["components"]["Boxes2D:colors"]}
    check(len(data) == 10000 and len(colors) == 10, "10,000 rows, ten colours")

    path = os.path.join(directory, "processes.rrd")
    run("example-processes", path)
    data = rows(path)
    log = of(data, "/log")
    recording = json.loads(run("rrd-dump", "--info", "--json", path))
    check(len(log) == 4 and len({row["writer"]["pid"] for row in log}) == 4, "four processes logged a line each")
    for number in range(4):
        lines = [row for row in log if row["components"]["TextLog:text"][0].startswith(f"task {number}: ")]
        check(
            len(lines) == 1
            and f"process {lines[0]['writer']['pid']}, thread {lines[0]['writer']['tid']}," in lines[0]["components"]["TextLog:text"][0]
            and lines[0]["components"]["TextLog:text"][0].split()[-1] in json.dumps(recording),
            f"task {number}: its line names its pid, its tid and the recording",
        )
        boxes = of(data, f"/task_{number}")
        check(
            len(boxes) == 1
            and boxes[0]["components"]["Boxes2D:labels"] == [f"task {number}"]
            and boxes[0]["components"]["Boxes2D:centers"] == [[100 * number, 0]],
            f"task {number}: its labelled box",
        )

    check(not os.path.exists(path + ".spool"), "the spool is gone")

    for attempt in range(20):  # on a busy machine the thread may hardly run while its process lives
        path = os.path.join(directory, f"daemon{attempt}.rrd")
        accepted = int(re.fullmatch(r"the thread was cut off after (\d+) beats\n", run("example-daemon", path)).group(1))
        if accepted > 20:
            break
    data = rows(path)
    beats, work = of(data, "/daemon/heartbeat"), of(data, "/daemon/work")
    # The thread may be cut off after its row was accepted and before it could say so.
    check(accepted > 20 and len(beats) in (accepted, accepted + 1), f"{len(beats)} beats, of {accepted} known to be accepted")
    check([row["timelines"]["beat"] for row in beats] == list(range(len(beats))), "each beat once, in order")
    check(len(work) == 10 and len({row["writer"]["pid"] for row in beats + work}) == 1, "one process, ten steps of work")
    check(not os.path.exists(path + ".spool"), "the spool is gone")

    path = os.path.join(directory, "pool.rrd")
    check(run("example-pool", path) == "128 workers logged 2000 of 2000 jobs\n", "the pool finished every job")
    data = rows(path)
    lines, times = of(data, "/jobs/log"), of(data, "/jobs/milliseconds")
    check(sorted(row["timelines"]["job"] for row in lines) == list(range(2000)), "every job has its line")
    check(sorted(row["timelines"]["job"] for row in times) == list(range(2000)), "every job has its duration")
    check(
        all(row["components"]["TextLog:text"][0].startswith(f"job {row['timelines']['job']}: ") for row in lines),
        "each line is that of its job",
    )

    path = os.path.join(directory, "responsive.rrd")
    print(run("example-responsive", path), end="")
    data = rows(path)
    ticks = of(data, "/loop/lateness_us")
    check([row["timelines"]["tick"] for row in ticks] == list(range(200)), "200 ticks in order")
    for camera in range(2):
        images, progress = of(data, f"/camera/{camera}"), of(data, f"/progress/{camera}")
        check(
            len(images) > 10
            and len(images) == len(progress)
            and [row["components"]["Scalars:scalars"] for row in progress] == [[frame] for frame in range(len(progress))],
            f"camera/{camera}: {len(images)} images, as many as its progress says",
        )
        check(
            all(row["components"]["Image:format"][0]["width"] == 320 for row in images)
            and all(len(row["components"]["Image:buffer"][0]) == 320 * 240 * 3 * 4 // 3 for row in images),
            f"camera/{camera}: every image whole",
        )

    path = os.path.join(directory, "scalars.rrd")
    run("example-scalars", path)
    data = rows(path)
    pids = set()
    for name in ("sine", "sawtooth", "damped", "noise"):
        own = of(data, f"/sensors/{name}")
        style = [row for row in own if not row["timelines"]]
        check(len(style) == 1 and style[0]["components"]["SeriesLines:names"] == [name], f"{name}: its static style")
        curve = [row for row in own if row["timelines"]]
        check([row["timelines"]["step"] for row in curve] == list(range(2000)), f"{name}: steps 0 to 1999")
        pids |= {row["writer"]["pid"] for row in own}
    check(len(pids) == 4, "four processes")

sys.exit(1 if failures else 0)
