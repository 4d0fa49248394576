"""rrd-replay's page with the real Rerun web viewer in it: the viewer's time follows the wall clock at the chosen speed,
stops, jumps and repeats as told; the viewer holds every row; a recording that is being written grows in it; nothing is
asked of another host and the page's own rules forbid the viewer nothing.

    test_replay.py BIN_DIRECTORY
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from replay_page import Browser, Replay
from rows import rows, run, same_rows

THREADS, ROWS = 10, 1000
SECONDS = 5  # of wall clock for a measurement: drawing in software takes a tenth of a second now and then, or more ...
MEASUREMENTS = 4  # ... on a busy machine, which may spoil one of them, but not each


def offset(page):
    """Where the viewer's cursor stands, in seconds from the beginning."""
    return (page["cursor"] - int(page["state"]["first"])) / 1e9


def length(page):
    return (int(page["state"]["last"]) - int(page["state"]["first"])) / 1e9


def until(check, what, seconds=100):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.1)


def ends(browser, harmless="none"):
    closed = browser.close()
    assert [line for line in closed["problems"] if harmless not in line] == [] and closed["refused"] == [], closed
    assert all(host in ("data:", "blob:") or host.startswith("127.0.0.1:") for host in closed["hosts"]), closed["hosts"]


def rate(browser, name, expected, again=lambda: None):
    """How fast the viewer's time goes, by its own events."""
    for _ in range(MEASUREMENTS):
        events = browser.measure(seconds=SECONDS)
        clock, times = [when for when, _ in events], [(time - events[0][1]) / 1e6 for _, time in events]
        measured = statistics.linear_regression(clock, times).slope if len(events) > 5 else 0
        print(f"{name}: the viewer's time goes at {measured:.4f} of the wall clock ({len(events)} updates)", flush=True)
        if 0.75 * expected < measured < 1.33 * expected:
            return
        again()
    raise AssertionError(f"{name}: {measured} instead of {expected}, {len(events)} time updates in {SECONDS} s")


def controls(browser, bin_directory, recording):
    with Replay(bin_directory, "--paused", "--timeline", "time", recording) as replay:
        page = browser.open(url=replay.url)
        assert page["timeline"] == page["wanted"] == "time" and not page["playing"], page
        whole = length(page)
        assert whole > 20, f"the recording has {whole} s"
        page = browser.key(key=" ")
        assert page["state"]["playing"], "space plays"
        rate(browser, "speed 1", 1, lambda: browser.key(key="Home"))
        browser.key(key=">")
        assert browser.key(key=">")["state"]["speed"] == 2, "two steps faster than 1 is 2"
        browser.key(key="Home")
        rate(browser, "speed 2", 2, lambda: browser.key(key="Home"))
        assert browser.key(key="<")["state"]["speed"] == 1.5, "one step slower"

        def moves(page, to, what, slack=2e-6):
            until(lambda: abs(offset(browser.state()) - to) <= slack, lambda: f"{what}: not at {to} but {browser.state()}")

        page = browser.key(key="k")
        assert not page["state"]["playing"], "k stops"
        moves(page, (int(page["state"]["position"]) - int(page["state"]["first"])) / 1e9, "it is where it was stopped")
        assert browser.measure(seconds=2) == [] or len({when for _, when in browser.measure(seconds=1)}) <= 1, "the time stands"
        stands = browser.state()
        moves(browser.key(key="ArrowLeft"), max(offset(stands) - 5, 0), "left is 5 s back")
        moves(browser.key(key="ArrowRight"), max(offset(stands) - 5, 0) + 5, "right is 5 s forward")
        moves(browser.bar(share=0.75), 0.75 * whole, "the bar leads forward", slack=0.01 * whole)
        moves(browser.bar(share=0.25), 0.25 * whole, "the bar leads back", slack=0.01 * whole)
        moves(browser.key(key="5"), 0.5 * whole, "5 is the middle")
        moves(browser.key(key="l"), 0.5 * whole + 10, "l is 10 s forward")
        moves(browser.key(key="j"), 0.5 * whole, "j is 10 s back")
        moves(browser.key(key="End"), whole, "End is the end")
        back = offset(browser.key(key=","))
        until(lambda: offset(browser.state()) < whole, "the comma is a row back")
        back = offset(browser.state())
        assert whole - 1 < back, f"but one row only, not from {whole} to {back}"
        moves(browser.key(key="."), whole, "the full stop is a row forward")
        moves(browser.key(key="Home"), 0, "Home is the beginning")

        assert browser.key(key="r")["state"]["loop"], "r repeats"
        browser.key(key="End")
        browser.key(key="ArrowLeft")
        browser.key(key="k")
        until(lambda: 0 <= offset(browser.state()) < whole - 8, "it begins anew at the end")
        assert browser.state()["state"]["playing"], "and plays on"
        for id in ("play", "restart", "back", "forward", "loop"):
            browser.click(id=id)
        browser.evaluate(script="document.getElementById('help').click()")
        assert browser.evaluate(script="document.getElementById('keys').open"), "the keys are shown"
        browser.evaluate(script="document.getElementById('keys').close()")
        ends(browser)


def complete(browser, bin_directory, work):
    """10 entities x 1000 Boxes2D reach the viewer."""
    recording = work / "threads.rrd"
    run(bin_directory / "example-threads", recording)
    ours = rows(bin_directory, recording)
    boxes = Counter(entity for entity, _ in ours if entity.startswith("/thread/"))
    assert boxes == {f"/thread/{i}": ROWS for i in range(THREADS)}, boxes
    for name, arguments in {"at once": ["--speed", "max"], "slowly, in small batches": ["--speed", "0.1", "--batch", "1ms"]}.items():
        with Replay(bin_directory, *arguments, recording) as replay:
            browser.open(url=replay.url)
            browser.finished()
            browser.resave(file=str(work / "resaved.rrd"))
            same_rows(name, ours, rows(bin_directory, work / "resaved.rrd"))
            print(f"boxes, {name}: {len(ours)} rows re-saved equal")
            ends(browser)


def live(browser, bin_directory, work):
    recording = work / "live.rrd"
    writer = subprocess.Popen([bin_directory / "log_follow", recording, "2", "3600000", "20000", "20", "1"],
                              stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        until(lambda: recording.exists() and recording.stat().st_size > 0, "the writer writes")
        with Replay(bin_directory, "--live", recording) as replay:
            page = browser.open(url=replay.url)
            assert page["state"]["growing"] and page["state"]["live"], page["state"]
            counts = [0]

            def grows():
                browser.resave(file=str(work / "live.part.rrd"))
                counts.append(len(rows(bin_directory, work / "live.part.rrd")))
                return counts[-1] > counts[-2]

            for _ in range(3):
                until(grows, lambda: f"rows come: {counts}")
            print(f"live: rows in the viewer: {counts[1:]}")
            rate(browser, "live", 1)
            def at_the_end(page):
                return page["state"]["live"] and page["range"]["max"] - page["cursor"] < 1e9

            until(lambda: at_the_end(browser.state()), lambda: f"it stays at the end: {browser.state()}")
            os.killpg(writer.pid, signal.SIGKILL)  # what its threads had not written yet is in its spool
            writer.wait(timeout=60)
            browser.finished()
            until(lambda: not browser.state()["state"]["growing"], "it does not grow any more")
            browser.resave(file=str(work / "live.resaved.rrd"))
            same_rows("live", rows(bin_directory, recording), rows(bin_directory, work / "live.resaved.rrd"))
            ends(browser)
    finally:
        if writer.poll() is None:
            os.killpg(writer.pid, signal.SIGKILL)
            writer.wait()


def window(browser, bin_directory, recording):
    with Replay(bin_directory, "--paused", "--window", "2s", "--timeline", "time", recording) as replay:
        page = browser.open(url=replay.url)
        first, whole = int(page["state"]["first"]), length(page)
        before = page["url"]
        for share in (0.8, 0.3):
            browser.bar(share=share)
            until(lambda: browser.state()["url"] != before and browser.state()["recordings"] != [], "the stream is opened again")
            before = browser.state()["url"]
            until(lambda: abs(offset(browser.state()) - share * whole) < 0.01 * whole, "the cursor is where it was led")
            until(lambda: browser.state()["range"] is not None, "rows come")
            page = browser.state()
            # What the viewer holds begins with the window, but for the last rows before.
            held = (page["range"]["max"] - first) / 1e9
            print(f"window: at {offset(page):.1f} s the viewer holds {(page['range']['min'] - first) / 1e9:.1f} s to {held:.1f} s")
            assert held < offset(page) + 2, "and nothing much behind the position"
            assert (page["range"]["min"] - first) / 1e9 > offset(page) - 4, "and nothing of long ago"
        browser.key(key="k")
        rate(browser, "window", 1)
        ends(browser, harmless="Failed to send quit marker")  # of a stream that was closed


def main():
    bin_directory = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="rrdkit-replay-") as directory, Browser() as browser:
        work = Path(directory)
        recording = work / "run.rrd"
        parts = [sys.argv[2]] if len(sys.argv) > 2 else ["controls", "complete", "window", "live"]
        made = Path(__file__).parent / "replay_example.py"
        run(sys.executable, made, recording)
        if "controls" in parts:
            controls(browser, bin_directory, recording)
        if "complete" in parts:
            complete(browser, bin_directory, work)
        if "window" in parts:
            window(browser, bin_directory, recording)
        if "live" in parts:
            live(browser, bin_directory, work)


if __name__ == "__main__":
    main()
