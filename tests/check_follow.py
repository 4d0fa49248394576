#!/usr/bin/env python3
"""rrd-dump --follow while processes log, join, stop, are killed, finish: what it prints is the final order, each row
once; and its cursor goes on exactly where a follower was stopped or killed."""

import fcntl
import json
import os
import pty
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts with & ignores it, and so would its children
bin_dir = sys.argv[1]
failures = []
randomly = random.Random(4)
dump_tool = os.path.join(bin_dir, "rrd-dump")
environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "RRDKIT_SPOOL_DIR")}
seeds = iter(range(1, 1000))
LONG = 60_000  # ms, unless they are told to end before, or killed


def check(condition, what):
    print(("ok   " if condition else "FAIL ") + what, flush=True)
    if not condition:
        failures.append(what)


class Writers:
    """log_follow at work; `pids` of its processes."""

    def __init__(self, path, processes, milliseconds, pause_us=2000, age_ms=300, *more):
        self.process = subprocess.Popen(
            [os.path.join(bin_dir, "log_follow"), path, *map(str, (processes, milliseconds, pause_us, age_ms, next(seeds))), *more],
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.pids = [int(self.process.stdout.readline()) for _ in range(processes)]

    def wait(self):
        return self.process.wait(timeout=240)

    def end(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)
        return self.wait()


class Follower:
    """rrd-dump -f into a file."""

    def __init__(self, path, output, *options, form="ndjson"):
        self.output = output
        self.errors = open(output + ".errors", "w+b")
        with open(output, "ab") as out:
            self.process = subprocess.Popen(
                [dump_tool, "-f", "--retry", "-F", form, *options, path], stdout=out, stderr=self.errors, env=environment
            )

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=240)

    def wait(self):
        return self.process.wait(timeout=240)

    def said(self):
        self.errors.seek(0)
        return self.errors.read()


def dump(path, *options):
    return subprocess.run([dump_tool, *options, path], check=True, capture_output=True, env=environment, timeout=120).stdout


def ids(text):
    """Row ids, of whole lines."""
    return [json.loads(line)["row_id"] for line in text.split(b"\n")[:-1]]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def wait_until(condition, what):
    end = time.monotonic() + 120
    while not condition():
        if time.monotonic() > end:
            check(False, what)
            return False
        time.sleep(0.02)
    return True


def size(path):
    return os.stat(path).st_size if os.path.exists(path) else 0


def steady(directory):
    path = os.path.join(directory, "run.rrd")
    early = Follower(path, os.path.join(directory, "early"))
    writers = Writers(path, 5, 2500)
    time.sleep(0.7)
    later = Follower(path, os.path.join(directory, "later"), "-e", "*/t1")
    tail = Follower(path, os.path.join(directory, "tail"), "--tail", "3")
    joiners = Writers(path, 3, 1500, 500, 100)
    check(writers.wait() == 0 and joiners.wait() == 0, "all processes log")
    finisher = Writers(path, 1, 1, 1, 100, "finish")
    check(finisher.wait() == 0, "the recording is finished")
    check([f.wait() for f in (early, later, tail)] == [0, 0, 0], "followers end with the recording, exit code 0")
    check(early.said() + later.said() + tail.said() == b"", f"nothing came late ({early.said() + later.said() + tail.said()!r})")
    final = dump(path, "-F", "ndjson")
    check(read(early.output) == final, f"followed from the beginning: the final order ({final.count(10)} rows)")
    check(read(later.output) == dump(path, "-F", "ndjson", "-e", "*/t1"), "with a filter: the same as filtered at the end")
    tailed = read(tail.output)
    check(tailed != b"" and final.endswith(tailed), "after --tail: the end of the final order")


def killed(directory, name="run.rrd"):
    path = os.path.join(directory, name)
    follower = Follower(path, os.path.join(directory, "out"))
    writers = Writers(path, 6, 2000)
    time.sleep(0.5)
    for pid in writers.pids[:3]:
        time.sleep(randomly.random() * 0.3)
        os.kill(pid, signal.SIGKILL)
    joiner = Writers(path, 1, 1500)
    writers.wait()
    joiner.wait()
    Writers(path, 1, 1, 1, 100, "finish").wait()
    check(follower.wait() == 0 and follower.said() == b"", f"writers killed among others: nothing comes late ({follower.said()!r})")
    check(read(follower.output) == dump(path, "-F", "ndjson"), "and what they left is in its place, once")


def compressed(directory):
    killed(directory, "run.rrd.zst")


def deserted(directory):
    path = os.path.join(directory, "run.rrd")
    follower = Follower(path, os.path.join(directory, "out"))
    writers = Writers(path, 4, LONG)
    wait_until(lambda: size(follower.output) > 0, "rows come")
    for pid in writers.pids:
        os.kill(pid, signal.SIGKILL)
    writers.wait()
    left = dump(path, "-F", "ndjson")
    if wait_until(lambda: size(follower.output) >= len(left), "rows that nobody brings in are printed"):
        check(read(follower.output) == left, "all writers killed: what they left is read from the spool")
    again = Writers(path, 2, 500, 2000, 100)
    again.wait()
    Writers(path, 1, 1, 1, 100, "finish").wait()
    check(follower.wait() == 0, "who opens the recording again brings the rows in and finishes it")
    final = dump(path, "-F", "ndjson")
    seen = ids(read(follower.output))
    check(len(seen) == len(set(seen)), f"no row is printed twice for that ({len(seen) - len(set(seen))} of {len(seen)})")
    check(read(follower.output) == final, f"nor out of order ({follower.said()!r})")


def resumed(directory):
    path = os.path.join(directory, "run.rrd")
    cursor = os.path.join(directory, "cursor")
    writers = Writers(path, 5, LONG, 1000, 100)
    killed_out, stopped_out = os.path.join(directory, "killed"), os.path.join(directory, "stopped")
    end = time.monotonic() + 4
    whole = b""
    while time.monotonic() < end:
        follower = Follower(path, killed_out, "--cursor-file", cursor)
        before = size(stopped_out)
        stopped = Follower(path, stopped_out, "--cursor-file", cursor + "2")
        time.sleep(randomly.random() * 0.6)
        wait_until(lambda: size(stopped_out) > before, "rows come")  # else it may not have begun
        follower.stop(signal.SIGKILL)
        check(stopped.stop(randomly.choice((signal.SIGTERM, signal.SIGINT))) == 0, "a follower that is stopped exits with 0")
        part = read(killed_out)
        whole += part[: part.rfind(b"\n") + 1]  # a killed one may leave a torn line
        os.unlink(killed_out)
    check(writers.end() == 0, "writers end when told")
    Writers(path, 1, 1, 1, 100, "finish").wait()
    follower = Follower(path, killed_out, "--cursor-file", cursor)
    stopped = Follower(path, stopped_out, "--cursor-file", cursor + "2")
    check(follower.wait() == 0 and stopped.wait() == 0, "and ends with the recording")
    whole += read(killed_out)
    final = dump(path, "-F", "ndjson")
    check(read(stopped_out) == final, "stopped again and again: each row once, in order")
    seen, repeats, order = set(), 0, []
    for row in ids(whole):
        repeats += row in seen
        if row not in seen:
            order.append(row)
        seen.add(row)
    check(order == ids(final), f"killed again and again: no row is missing ({repeats} of {len(order)} repeated)")
    check(dump(path, "-F", "ndjson", "--cursor-file", cursor) == b"", "nothing is left behind the cursor")
    with open(cursor, "r+b") as file:
        file.truncate(20)
    done = subprocess.run([dump_tool, "--cursor-file", cursor, path], capture_output=True, env=environment)
    check(done.returncode == 1 and b"cursor" in done.stderr and done.stdout == b"", "a torn cursor is refused")


def frozen(directory):
    path = os.path.join(directory, "run.rrd")
    follower = Follower(path, os.path.join(directory, "out"))
    writers = Writers(path, 4, LONG, 1000, 100)
    wait_until(lambda: b'"/p0_' in read(follower.output), "the first process logs")
    os.kill(writers.pids[0], signal.SIGSTOP)
    time.sleep(0.5)
    before = size(follower.output)
    check(wait_until(lambda: size(follower.output) > before, "others go on"), "a stopped writer holds the others back for a while only")
    time.sleep(1)
    os.kill(writers.pids[0], signal.SIGCONT)
    check(writers.end() == 0, "all end when told")
    Writers(path, 1, 1, 1, 100, "finish").wait()
    check(follower.wait() == 0, "it goes on, too")
    check(sorted(ids(read(follower.output))) == sorted(ids(dump(path, "-F", "ndjson"))), "each row is printed once, late or not")


def formats(directory):
    path = os.path.join(directory, "run.rrd")
    Writers(path, 1, 50).wait()
    csv = Follower(path, os.path.join(directory, "csv"), form="csv")
    text = Follower(path, os.path.join(directory, "text"), "--width", "0")
    Writers(path, 2, 600, 2000, 100).wait()
    Writers(path, 1, 1, 1, 100, "finish").wait()
    check(csv.wait() == 0 and text.wait() == 0, "CSV and text are followed, too")
    rows = dump(path, "-F", "ndjson").count(b"\n")
    check(read(csv.output) == dump(path, "-F", "csv"), "CSV: as at the end")
    check(read(text.output).count(b"\n") == rows, "text: a line each")
    done = subprocess.run([dump_tool, "-f", os.path.join(directory, "none.rrd")], capture_output=True, env=environment)
    check(done.returncode == 1 and b"none.rrd" in done.stderr, "a file that does not exist is an error without --retry")
    for options in (["-f", "--info"], ["-f", "--timeline", "x"], ["-f", "--wall-clock"], ["--retry"], ["--tail", "1", "-n", "1"]):
        check(subprocess.run([dump_tool, *options, path], capture_output=True, env=environment).returncode == 2, f"{options}: usage")
    lost = subprocess.run([dump_tool, "--cursor-file", os.path.join(directory, "nowhere", "place"), path], capture_output=True, timeout=60)
    check(lost.returncode == 1 and lost.stdout == b"" and b"No such file" in lost.stderr, f"a place that cannot be kept: nothing is printed ({lost})")
    check(dump(path, "-F", "ndjson", "--tail", "5") == b"".join(dump(path, "-F", "ndjson").splitlines(True)[-5:]), "--tail alone")
    check(dump(path, "--tail", "0") == b"" and dump(path, "--tail", "2", "--width", "80").count(b"\n") >= 2, "--tail of text")


def endings(directory):
    path = os.path.join(directory, "run.rrd")
    writers = Writers(path, 2, LONG, 1000, 100)
    for number in (signal.SIGINT, signal.SIGTERM):
        follower = Follower(path, os.path.join(directory, f"out{number}"))
        wait_until(lambda: size(follower.output) > 0, "rows come")
        check(follower.stop(number) == 0, f"signal {number}: exit code 0")
        text = read(follower.output)
        check(text.endswith(b"\n") and len(ids(text)) == text.count(b"\n"), "and whole lines")
    follower = subprocess.Popen([dump_tool, "-f", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    follower.stdout.readline()
    for pid in writers.pids:
        os.kill(pid, signal.SIGSTOP)
    follower.stdout.close()
    check(follower.wait(timeout=120) == 0, "it ends when nobody reads it, though nothing comes")
    for pid in writers.pids:
        os.kill(pid, signal.SIGKILL)
    writers.wait()


def resized(directory):
    path = os.path.join(directory, "run.rrd")
    writers = Writers(path, 2, LONG, 1000, 100)
    wait_until(lambda: os.path.exists(path), "the recording is there")
    leader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    follower = subprocess.Popen(
        [dump_tool, "-f", "--color", "never", path], stdout=terminal, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    received = b""

    def widest(needed):
        nonlocal received
        end = time.monotonic() + 120
        while received.count(b"\n") < needed and time.monotonic() < end:
            if select.select([leader], [], [], 0.1)[0]:
                received += os.read(leader, 65536)
        lines = received.decode(errors="replace").split("\r\n")[1:-1]  # the last may be cut within a character
        received = b""
        return max(len(line) for line in lines)

    check(widest(200) <= 60, "lines fit the terminal")
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    follower.send_signal(signal.SIGWINCH)
    for _ in range(100):
        if widest(200) <= 40:
            break
    else:
        check(False, "lines fit the terminal after it was resized")
    check(follower.poll() is None, "a resized terminal ends nothing")
    follower.send_signal(signal.SIGTERM)
    while follower.poll() is None:
        if select.select([leader], [], [], 0.05)[0]:
            os.read(leader, 65536)
    check(follower.returncode == 0, "exit code 0 on a terminal")
    os.close(leader)
    os.close(terminal)
    for pid in writers.pids:
        os.kill(pid, signal.SIGKILL)
    writers.wait()


for scenario in (steady, killed, compressed, deserted, resumed, frozen, formats, endings, resized):
    if len(sys.argv) > 2 and scenario.__name__ not in sys.argv[2:]:
        continue
    print(f"-- {scenario.__name__}")
    with tempfile.TemporaryDirectory() as place:
        scenario(place)

sys.exit(1 if failures else 0)
