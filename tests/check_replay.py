#!/usr/bin/env python3
"""rrd-replay from the outside: its stream, its server, its controls, and clients that mean no good. The page's own
behaviour in a browser is tests/web's; gRPC is tests/oracle's."""

import calendar
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

BIN = os.path.abspath(sys.argv[1])
REPLAY, DUMP, LOG = (os.path.join(BIN, name) for name in ("rrd-replay", "rrd-dump", "log_cli"))
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts with & ignores it, and so would its children
failures = []


def check(condition, what):
    print(("ok   " if condition else "FAIL ") + what, flush=True)
    if not condition:
        failures.append(what)


def rows(path):
    """The rows as rrd-dump tells them, without who wrote them: a stock stream does not say. None of them twice."""
    text = subprocess.run([DUMP, "-F", "ndjson", path], stdout=subprocess.PIPE, check=True, timeout=100).stdout
    found = [json.loads(line) for line in text.splitlines()]
    for row in found:
        row.pop("writer")
        row.pop("row")
    info = subprocess.run([DUMP, "--info", "--json", path], stdout=subprocess.PIPE, check=True, timeout=100).stdout
    held = sum(store["rows"] for store in json.loads(info)["recordings"])
    if held != len(found):
        check(False, f"{path}: {len(found)} rows, which stand there {held} times")
    return found


def nanoseconds(text):
    """Of an RFC 3339 time."""
    seconds, fraction = text.removesuffix("Z").split(".")
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction.ljust(9, "0"))


class Server:
    """rrd-replay at work, with its URL."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([REPLAY, "--no-browser", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            sys.exit(self.process.stderr.read())
        self.host, port, self.token = re.fullmatch(r"http://([^:]+):(\d+)/([0-9a-f]{32})/", self.url).groups()
        self.port = int(port)

    def ask(self, path="", method="GET", body=None, headers=None, absolute=False):
        """(status, bytes)"""
        url = f"http://{self.host}:{self.port}{path}" if absolute else self.url + path
        request = urllib.request.Request(url, method=method, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def control(self, text):
        status, body = self.ask("control", "POST", text.encode())
        return json.loads(body) if status == 200 else status

    def connect(self):
        return socket.create_connection((self.host, self.port), timeout=60)

    def events(self):
        """States, as they are told."""
        s = self.connect()
        s.sendall(f"GET /{self.token}/events HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode())
        for line in s.makefile("rb"):
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def step(self, direction):
        """To the next row; again where that is not ready to be shown yet."""
        before = self.control("pause")["position"]
        end = time.monotonic() + 60
        while (position := self.control(f"step {direction}")["position"]) == before and time.monotonic() < end:
            time.sleep(0.01)
        return int(position)

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        return code, self.process.stderr.read()


def save(path, data):
    with open(path, "wb") as out:
        out.write(data)
    return path


def streams(work, recording, expected):
    for name, arguments in {
        "max": ["--speed", "max"],
        "batches": ["--speed", "max", "--batch", "1us"],
        "plain": ["--speed", "max", "--compression", "none"],
        "fast": ["--speed", "1000"],
    }.items():
        target = os.path.join(work, f"{name}.rrd")
        subprocess.run([REPLAY, "-q", *arguments, "-o", target, recording], check=True, timeout=100)
        check(rows(target) == expected, f"the stream of {' '.join(arguments)} holds every row in order")
    piped = subprocess.run([REPLAY, "-q", "--speed", "max", "-o", "-", "-"], stdin=open(recording, "rb"), stdout=subprocess.PIPE, check=True, timeout=100)
    check(rows(save(os.path.join(work, "piped.rrd"), piped.stdout)) == expected, "from standard input to standard output")
    closed = subprocess.run(f"'{REPLAY}' -q --speed max -o - '{recording}' | head -c 100 >/dev/null; echo ${{PIPESTATUS[0]}}",
                            shell=True, executable="/bin/bash", stdout=subprocess.PIPE, text=True, timeout=100)
    check(closed.stdout == "0\n", "a reader that has enough is success")


def usage(work, recording, viewer):
    def fails(code, pattern, *arguments, env=None):
        done = subprocess.run([REPLAY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, env=env)
        check(done.returncode == code and re.search(pattern, done.stderr) is not None and done.stdout == "",
              f"{' '.join(arguments).replace(work, '')}: {code}, {pattern!r}" + ("" if done.returncode == code else f" but {done.returncode} {done.stderr}"))

    fails(2, "no input file")
    fails(2, "--speed", "--speed", "0", recording)
    fails(2, "--connect and --output", "--connect", "9", "-o", "x", recording)
    fails(2, "not rerun\\+http", "--connect", "rerun+https://host/proxy", recording)
    fails(2, "--paused is for the page", "--paused", "-o", "x", recording)
    fails(2, "not a time", "-o", "x", "--from", "soon", recording)
    fails(1, "No such file", "-o", "x", os.path.join(work, "none.rrd"))
    fails(1, "is also the output", "-q", "--speed", "max", "-o", recording, recording)
    with open("/dev/full", "wb") as full:
        result = subprocess.run([REPLAY, "-q", "--speed", "max", "-o", "-", recording], stdout=full, stderr=subprocess.PIPE, timeout=60)
    check(result.returncode == 1 and b"standard output: No space" in result.stderr, "a full standard output is named")
    fails(1, "not the @rerun-io/web-viewer package", "--viewer", work, recording)
    nowhere = {**os.environ, "HOME": work, "XDG_CACHE_HOME": os.path.join(work, "cache")}
    nowhere.pop("RRDKIT_WEB_VIEWER", None)
    fails(1, "rrd-replay --fetch-viewer", recording, env=nowhere)
    fails(1, "nobody listens at http://127.0.0.1:1: ", "--connect", "1", recording)
    fails(1, "not a numeric address", "--viewer", viewer, "--bind", "localhost", recording)


def server(work, recording, viewer, expected):
    s = Server("--viewer", viewer, "--paused", recording)
    status, page = s.ask()
    settings = json.loads(re.search(rb'id="config">(.*?)</script>', page, re.S).group(1))
    check(status == 200 and settings["timeline"] == "log_time", "the page comes with its settings")
    check(any(r["recording"] == "</script><b>" for r in settings["recordings"]), "an id that looks like markup stays text")
    for path, kind in {"replay.js": b"import", "replay.css": b":root", "icon.svg": b"<svg", "viewer/index.js": b"index", "viewer/re_viewer": b"re_viewer.js"}.items():
        status, body = s.ask(path)
        check(status == 200 and kind in body, f"{path} is served")
    for path in ("viewer/package.json", "viewer/%2e%2e/secret", "viewer/../secret", "secret", "data/x.rrd", "data/0.rrd/", "control/x"):
        check(s.ask(path)[0] == 404, f"{path} is not")
    check(s.ask("/", absolute=True)[0] == 404 and s.ask(f"/{'0' * 32}/", absolute=True)[0] == 404, "nothing without the token")
    check(s.ask(headers={"Host": f"evil.example:{s.port}"})[0] == 403, "nothing by another name")
    check(s.ask("control", "POST", b"play", {"Origin": "http://evil.example"})[0] == 403, "no control from another site")
    check(s.ask("control")[0] == 405 and s.ask("", "DELETE")[0] == 405 and s.ask("events", "POST", b"x")[0] == 405, "methods are as they should be")
    check(s.ask("control", "POST", b"fly")[0] == 400 and s.ask("control", "POST", b"a" * 100000)[0] == 413, "wrong and long controls are refused")

    state = next(s.events())
    check(not state["playing"] and state["position"] == state["first"], "it waits at the beginning")
    check(s.control("play")["playing"] and not s.control("pause")["playing"] and s.control("toggle")["playing"], "play, pause, toggle")
    s.control("pause")
    middle = (int(state["first"]) + int(state["last"])) // 2
    check(int(s.control(f"seek {middle}")["position"]) == middle, "seek")
    check(int(s.control("skip -1000")["position"]) == middle - 1000, "skip")
    check(int(s.control("seek -9223372036854775808")["position"]) == int(state["first"]), "seek before the beginning")
    keys = sorted({nanoseconds(row["timelines"]["log_time"]) for row in expected if row["timelines"]} | {int(state["first"])})
    forth = [s.step(1) for _ in keys[1:]]
    back = [s.step(-1) for _ in keys[1:]]
    check(forth == keys[1:] and back == keys[-2::-1], "steps go from row to row")
    check(s.control("speed 2")["speed"] == 2 and s.control("loop on")["loop"] and not s.control("loop off")["loop"], "speed and loop")
    follower = s.events()
    before = next(follower)["version"]
    told = s.control("speed 1")["version"]
    versions = (event["version"] for event in itertools.islice(follower, 400))  # one comes now and then without a control, too
    check(next((version for version in versions if version > before), None) == told, "controls are told")

    s.control("speed max")
    s.control("play")
    datas = {}

    def fetch(name):
        datas[name] = s.ask(f"data/{name}.rrd")[1]

    threads = [threading.Thread(target=fetch, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    check(all(data == datas[0] for data in datas.values()), "eight viewers get the same stream")
    check(rows(save(os.path.join(work, "served.rrd"), datas[0])) == expected, "which holds every row in order")
    code, errors = s.stop()
    check(code == 0 and errors == "", f"it ends cleanly when interrupted {errors}")


def window(work, recording, viewer, expected):
    """A stream from a position on holds what is needed to show it: static rows, the last rows before, and all after."""
    s = Server("--viewer", viewer, "--speed", "max", "--window", "1ms", recording)
    s.control("play")
    whole = s.ask("data/0.rrd")[1]
    check(rows(save(os.path.join(work, "whole.rrd"), whole)) == expected, "with a window the first stream is whole")
    state = s.control("pause")
    middle = (int(state["first"]) + int(state["last"])) // 2
    s.control("play")
    part = rows(save(os.path.join(work, "part.rrd"), s.ask(f"data/1.rrd?from={middle}")[1]))
    ids = {row["row_id"] for row in part}
    timed = [row for row in expected if row["timelines"]]
    after = [row for row in timed if nanoseconds(row["timelines"]["log_time"]) >= middle]
    check(0 < len(after) < len(timed), "the middle is in the middle")
    check(all(row["row_id"] in ids for row in after), "a stream from the middle holds all that comes after")
    last = {}
    for row in timed:
        for component in row["components"]:
            last.setdefault((row["entity"], component), row["row_id"])
    check({(row["entity"], c) for row in part for c in row["components"]} >= set(last), "and something of every component")
    s.stop()


def hostile(work, recording, viewer, expected):
    """A hundred clients that mean no good, while an honest one reads."""
    s = Server("--viewer", viewer, "--paused", "--speed", "1", recording)
    head = f"GET /{s.token}/data/0.rrd HTTP/1.1\r\nHost: {s.host}:{s.port}\r\n".encode()
    attacks = [
        b"",  # says nothing
        head,  # never ends its request
        head + b"X: " + b"a" * 200000,  # a header without end
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),  # TLS
        os.urandom(4000),
        head + b"\r\n",  # asks for the stream and never reads
        f"POST /{s.token}/control HTTP/1.1\r\nHost: {s.host}:{s.port}\r\nContent-Length: 999999999999\r\n\r\nplay".encode(),
        f"POST /{s.token}/control HTTP/1.1\r\nHost: {s.host}:{s.port}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".encode(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"/" * 60000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    sockets = []
    for i in range(100):
        c = s.connect()
        try:
            c.sendall(attacks[i % len(attacks)])
        except OSError:
            pass  # it was thrown out already
        sockets.append(c)
    times = []
    follower = s.events()
    next(follower)
    s.control("play")
    s.control("speed max")
    for _ in range(20):
        began = time.monotonic()
        state = s.control("loop off")
        times.append(time.monotonic() - began)
        if not isinstance(state, dict):
            check(False, "a control is answered")
    data = s.ask("data/1.rrd")[1]
    check(rows(save(os.path.join(work, "besieged.rrd"), data)) == expected, "the honest viewer gets every row")
    print(f"     an answer took {1000 * sorted(times)[10]:.1f} ms, at worst {1000 * max(times):.1f} ms, beside 100 hostile clients")
    for c in sockets:
        c.close()
    check(s.ask()[0] == 200, "the server lives")
    code, errors = s.stop(signal.SIGTERM)
    check(code == 0, f"and ends cleanly {errors}")


def main():
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        recording = os.path.join(work, "run.rrd")
        subprocess.run([LOG, recording, "</script><b>", "0"], check=True, timeout=60)
        viewer = os.path.join(work, "viewer")
        os.mkdir(viewer)
        for name in ("index.js", "re_viewer.js", "re_viewer_bg.wasm", "package.json"):
            save(os.path.join(viewer, name), name.encode())
        save(os.path.join(work, "secret"), b"secret")
        expected = rows(recording)
        streams(work, recording, expected)
        usage(work, recording, viewer)
        server(work, recording, viewer, expected)
        window(work, recording, viewer, expected)
        hostile(work, recording, viewer, expected)
    if failures:
        sys.exit(f"check_replay: {len(failures)} failed")
    print("rrd-replay: all checks hold")


main()
