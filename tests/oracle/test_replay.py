"""rrd-replay against Rerun itself: what `rerun --serve-grpc` saves of a replay equals what was replayed, whatever
happened to the server meanwhile, and what goes to standard output is a stream that Rerun reads.

    test_replay.py BIN_DIRECTORY
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rerun as rr

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts with & ignores it, and so would its children
RERUN = Path(sys.executable).parent / "rerun"
ENVIRONMENT = {**os.environ, "RERUN_ANALYTICS": "0", "RUST_LOG": "warn"}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=200, env=ENVIRONMENT, **options)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stderr.decode()}"
    return done.stdout


def until(check, what, seconds=100):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def rows(bin_directory, file):
    """Rows in order, without who wrote them, which a stock stream does not say. None stands there twice."""
    found = [json.loads(line) for line in run(bin_directory / "rrd-dump", "-F", "ndjson", file).splitlines()]
    for row in found:
        row.pop("writer")
        row.pop("row")
    return found


def held(bin_directory, file, growing=False):
    """How many rows the chunks hold, doubles and all. Somebody may be in the middle of writing what grows."""
    done = subprocess.run([bin_directory / "rrd-dump", "--info", "--json", file], stdout=subprocess.PIPE, timeout=200)
    assert growing or done.returncode == 0, f"{file}: exit {done.returncode}"
    return sum(store["rows"] for store in json.loads(done.stdout)["recordings"]) if done.returncode in (0, 3) else 0


def free_port():
    """None of those from which the system takes one for any connection: while a server is gone its port stays free."""
    for port in random.sample(range(10000, 30000), 1000):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("", port))
            return port
    raise AssertionError("no port is free")


class Server:
    """`rerun --serve-grpc --save`; the command is a script that starts the server, so that signals go to both."""

    def __init__(self, port, file):
        self.file = file
        self.port = port
        self.process = subprocess.Popen([RERUN, "--serve-grpc", "--port", str(port), "--save", file], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True)
        until(lambda: self.listens() or self.process.poll() is not None, "the server does not listen")
        assert self.process.poll() is None, self.process.stderr.read()

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def size(self):
        return os.path.getsize(self.file) if os.path.exists(self.file) else 0

    def settle(self):
        """Nothing has come for a while."""
        last = (-1, time.monotonic())
        while time.monotonic() - last[1] < 1.5:
            if self.size() != last[0]:
                last = (self.size(), time.monotonic())
            time.sleep(0.05)

    def stop(self, bin_directory, original):
        """Once what it was sent, the original's rows, is in its file, or does not come any more."""
        count = held(bin_directory, original)
        self.settle()
        end = time.monotonic() + 60
        while held(bin_directory, self.file, growing=True) < count and time.monotonic() < end:
            self.settle()
        self.end(signal.SIGINT)

    def end(self, number):
        self.signal(number)
        self.process.wait(timeout=100)
        until(lambda: not self.listens(), "the server does not end")
        self.process.stderr.close()

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass  # it has ended


def same(bin_directory, work, name, original, saved, once=True):
    ours, theirs = rows(bin_directory, original), rows(bin_directory, saved)
    assert ours == theirs, f"{name}: {len(theirs)} rows of {len(ours)}, or other ones"
    if once:
        assert held(bin_directory, saved) == len(ours), f"{name}: {held(bin_directory, saved)} rows stand there, not {len(ours)}"
    merged = []
    for which, file in (("a", original), ("b", saved)):
        merged.append(work / f"{name}.{which}.rrd")
        run(bin_directory / "rrd-merge", "-q", "-o", merged[-1], file)
    run(RERUN, "rrd", "compare", "--unordered", *merged)
    print(f"{name}: {len(ours)} rows equal", flush=True)


def connect(bin_directory, port, *arguments):
    return [str(part) for part in (bin_directory / "rrd-replay", "-q", "--connect", port, *arguments)]


def over_grpc(bin_directory, work, inputs):
    for name, arguments in {
        "max": ["--speed", "max"], "fast": ["--speed", "1000"], "plain": ["--speed", "max", "--compression", "none"],
    }.items():
        server = Server(free_port(), work / f"{name}.saved.rrd")
        try:
            run(*connect(bin_directory, server.port, *arguments, inputs["ours"][1]))
            server.stop(bin_directory, inputs["ours"][0])
            same(bin_directory, work, name, inputs["ours"][0], server.file)
        finally:
            server.signal(signal.SIGKILL)
    for name, (original, given) in inputs.items():
        server = Server(free_port(), work / f"{name}.saved.rrd")
        try:
            source = open(given, "rb") if name == "stdin" else subprocess.DEVNULL
            run(*connect(bin_directory, f"rerun+http://127.0.0.1:{server.port}/proxy", "--speed", "max", "-" if name == "stdin" else given), stdin=source)
            server.stop(bin_directory, original)
            same(bin_directory, work, f"grpc-{name}", original, server.file)
        finally:
            server.signal(signal.SIGKILL)


def standard_output(bin_directory, work, inputs):
    for name, (original, given) in inputs.items():
        out = work / f"{name}.out.rrd"
        out.write_bytes(run(bin_directory / "rrd-replay", "-q", "--speed", "max", "-o", "-", given))
        same(bin_directory, work, f"stdout-{name}", original, out)
        run(RERUN, "rrd", "verify", "--check-footers=false", out)
        with subprocess.Popen([bin_directory / "rrd-replay", "-q", "--speed", "max", "-o", "-", given], stdout=subprocess.PIPE) as replay:
            run(RERUN, "rrd", "stats", "-", stdin=replay.stdout)


def killed_server(bin_directory, work, long):
    """Everything is there in the end, although the server was gone for a while."""
    port = free_port()
    servers = [Server(port, work / "killed.rrd")]
    replay = subprocess.Popen(connect(bin_directory, port, "--speed", "0.3", long), stderr=subprocess.PIPE)  # 20 s
    try:
        until(lambda: servers[0].size() > 2000, "nothing comes")
        servers[0].end(signal.SIGKILL)
        assert replay.poll() is None, "it is in the middle"
        time.sleep(0.5)
        servers.append(Server(port, work / "again.rrd"))
        errors = replay.communicate(timeout=200)[1].decode()
        assert replay.returncode == 0, errors
        servers[1].stop(bin_directory, long)
        same(bin_directory, work, "reconnected", long, servers[1].file)
    finally:
        replay.kill()
        for server in servers:
            server.signal(signal.SIGKILL)


def stopped_server(bin_directory, work, large):
    """A receiver that does not read for a while loses nothing."""
    server = Server(free_port(), work / "stopped.saved.rrd")
    replay = subprocess.Popen(connect(bin_directory, server.port, "--speed", "0.2", "--compression", "none", large),
                              stderr=subprocess.PIPE)  # 120 MB in 5 s or more
    try:
        until(lambda: server.size() > 0, "nothing comes")
        server.signal(signal.SIGSTOP)
        time.sleep(3)
        assert replay.poll() is None, "what the server cannot take waits"
        server.signal(signal.SIGCONT)
        errors = replay.communicate(timeout=200)[1].decode()
        assert replay.returncode == 0, errors
        server.stop(bin_directory, large)
        same(bin_directory, work, "backpressure", large, server.file)
    finally:
        replay.kill()
        server.signal(signal.SIGKILL)


def nobody(bin_directory, recording):
    done = subprocess.run(connect(bin_directory, free_port(), recording), stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "nobody listens at http://127.0.0.1:" in done.stderr, done.stderr


def make_official(path, seconds, rows_per_second, size):
    """By the official SDK; `size` bytes of text a row."""
    recording = rr.RecordingStream("official", recording_id=path.stem)
    recording.save(path)
    recording.log("fixed", rr.Boxes2D(sizes=[(1, 2)]), static=True)
    step = 1 / rows_per_second
    end = time.monotonic() + seconds
    number = 0
    while number < seconds * rows_per_second:
        recording.set_time("frame", sequence=number)
        recording.log(f"value/{number % 3}", rr.Scalars(number))
        recording.log("text", rr.TextLog(f"{number} " + os.urandom(size // 2).hex()))
        number += 1
        if (wait := end - seconds + number * step - time.monotonic()) > 0:
            time.sleep(wait)
    recording.disconnect()


def main():
    bin_directory = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="rrdkit-replay-") as directory:
        work = Path(directory)
        ours, official, long, large = (work / f"{name}.rrd" for name in ("ours", "official", "long", "large"))
        run(bin_directory / "example-threads", ours)
        make_official(official, 2, 100, 20)
        make_official(long, 6, 50, 20)
        make_official(large, 1, 3000, 40000)
        run(bin_directory / "rrd-merge", "-q", "-o", work / "ours.rrd.zst", ours)
        run("tar", "-C", work, "-czf", work / "ours.tar.gz", "ours.rrd")
        inputs = {"ours": (ours, ours), "official": (official, official), "zst": (ours, work / "ours.rrd.zst"),
                  "archive": (ours, work / "ours.tar.gz")}
        standard_output(bin_directory, work, inputs)
        over_grpc(bin_directory, work, {**inputs, "stdin": (ours, ours)})
        killed_server(bin_directory, work, long)
        stopped_server(bin_directory, work, large)
        nobody(bin_directory, ours)


main()
