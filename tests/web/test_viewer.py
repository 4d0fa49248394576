"""The real Rerun web viewer takes what example-threads and rrd-merge write: it opens with our ids, complains of nothing,
writes every row again with its own encoder, value for value, and shows the boxes.

    test_viewer.py BIN_DIRECTORY
"""

import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from PIL import Image

from rows import rows, run, same_rows

VIEWER = Path(__file__).parent / "viewer.mjs"
THREADS, ROWS = 10, 1000
MIN_PIXELS = 20  # of each thread's colour; a box outline of the default view has hundreds


def colours(found):
    """thread/<i> -> the RGB of its boxes."""
    of = {}
    for (entity, _), (_, components) in found.items():
        if entity.startswith("/thread/"):
            for colour in components.get("Boxes2D:colors", []):
                of.setdefault(entity, set()).add(colour)
    assert len(of) == THREADS, f"boxes of {len(of)} threads, not {THREADS}"
    single = {}
    for entity, values in of.items():
        assert len(values) == 1, f"{entity} has {len(values)} colours"
        value = values.pop()
        value = int(value, 0) if isinstance(value, str) else value
        single[entity] = (value >> 24 & 255, value >> 16 & 255, value >> 8 & 255)
    assert len(set(single.values())) == THREADS, "two threads share a colour"
    return single


def drawn(picture, colours):
    """Pixels of each entity's colour."""
    with Image.open(picture) as image:
        pixels = Counter({colour: count for count, colour in image.convert("RGB").getcolors(image.width * image.height)})
    return {entity: pixels[colour] for entity, colour in colours.items()}


def check(bin_directory, work, name, file):
    info = json.loads(run(bin_directory / "rrd-dump", "--info", "--json", file))
    ours = rows(bin_directory, file)
    boxes = Counter(entity for entity, _ in ours if entity.startswith("/thread/"))
    assert boxes == {f"/thread/{i}": ROWS for i in range(THREADS)}, f"{name}: {boxes}"

    resaved, picture = work / f"{name}.resaved.rrd", work / f"{name}.png"
    seen = json.loads(run("node", VIEWER, "--resave", resaved, "--screenshot", picture, file))
    assert seen["problems"] == [], f"{name}: the viewer complains: {seen['problems']}"
    store = next(store for store in info["recordings"] if store["recording_id"] == seen["recording_id"])
    assert store["application_id"] == seen["application_id"], f"{name}: {store} is shown as {seen}"
    assert seen["opened"] == 1, f"{name}: {seen['opened']} recordings were opened"

    theirs = rows(bin_directory, resaved)
    same_rows(name, ours, theirs)

    shown = drawn(picture, colours(ours))
    for _ in range(3):  # on a busy machine a picture may seem to stand before all is drawn
        if min(shown.values()) < MIN_PIXELS:
            run("node", VIEWER, "--screenshot", picture, file)
            shown = drawn(picture, colours(ours))
    assert min(shown.values()) >= MIN_PIXELS, f"{name}: pixels of each thread's boxes: {shown}"
    print(f"{name}: {len(ours)} rows re-saved equal; pixels of each colour: {sorted(shown.values())}")


def main():
    bin_directory = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="rrdkit-web-") as directory:
        work = Path(directory)
        run(bin_directory / "example-threads", work / "threads.rrd")
        check(bin_directory, work, "threads", work / "threads.rrd")
        run(bin_directory / "rrd-merge", "-o", work / "merged.rrd", work / "threads.rrd")
        check(bin_directory, work, "merged", work / "merged.rrd")


if __name__ == "__main__":
    assert os.path.isdir(sys.argv[1]), sys.argv[1]
    main()
