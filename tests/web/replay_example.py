"""Makes a recording of half a minute with the official SDK that has something to look at: robots as boxes with their
tracks, a camera's picture, the plots of their speeds and a log of what they say.

    replay_example.py FILE [slowly]

"slowly" takes that half minute, so that log_time tells it too; else only the timeline "time" does.
"""

import math
import sys
import time

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

SECONDS, RATE = 32, 20
START = 1_780_000_000
ROBOTS = {"alpha": (66, 165, 245), "bravo": (255, 167, 38), "charlie": (102, 187, 106), "delta": (236, 64, 122), "echo": (171, 71, 188)}


def place(number, t):
    phase = t * (0.25 + 0.07 * number) + number * 1.3
    return 40 * math.cos(phase) * (1 + 0.3 * math.sin(3 * phase)), 26 * math.sin(phase) * (1 + 0.3 * math.cos(2 * phase))


def main():
    recording = rr.RecordingStream("warehouse", recording_id="warehouse-1")
    recording.save(sys.argv[1], default_blueprint=rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial2DView(origin="/floor", name="floor"),
            rrb.Vertical(rrb.TimeSeriesView(origin="/speed", name="speed"), rrb.TextLogView(origin="/log", name="log"), row_shares=[1.2, 1]),
            column_shares=[1.6, 1]),
        collapse_panels=True))
    for name, colour in ROBOTS.items():
        recording.log(f"speed/{name}", rr.SeriesLines(colors=[colour], names=[name]), static=True)
    shelves = [(x, y) for x in (-45, -15, 15, 45) for y in (-24, 0, 24)]
    recording.log("floor/shelves", rr.Boxes2D(centers=shelves, half_sizes=[(5, 8)] * len(shelves), colors=[(70, 78, 90)]), static=True)
    tracks = {name: [] for name in ROBOTS}
    said = set()
    begin = time.monotonic()
    for step in range(SECONDS * RATE):
        t = step / RATE
        if len(sys.argv) > 2:
            time.sleep(max(0, begin + t - time.monotonic()))
        recording.set_time("time", timestamp=START + t)
        recording.set_time("frame", sequence=step)
        for number, (name, colour) in enumerate(ROBOTS.items()):
            x, y = place(number, t)
            nx, ny = place(number, t + 0.05)
            speed = math.hypot(nx - x, ny - y) / 0.05
            tracks[name] = (tracks[name] + [(x, y)])[-60:]
            recording.log(f"floor/{name}", rr.Boxes2D(centers=[(x, y)], half_sizes=[(3.2, 2.2)], colors=[colour], labels=[name]))
            recording.log(f"floor/{name}/track", rr.LineStrips2D([np.array(tracks[name])], colors=[colour], radii=0.35))
            recording.log(f"speed/{name}", rr.Scalars(speed))
            near = next((i for i, (sx, sy) in enumerate(shelves) if abs(sx - x) < 8 and abs(sy - y) < 10), None)
            if near is not None and (name, near, int(t) // 4) not in said:
                said.add((name, near, int(t) // 4))
                level = "WARN" if speed > 32 else "INFO"
                recording.log("log", rr.TextLog(f"{name}: {'fast past' if level == 'WARN' else 'at'} shelf {near + 1}", level=level, color=colour))
    recording.disconnect()


main()
