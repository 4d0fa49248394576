"""What the checks of the command-line tools share: the tools, runs of them and what is expected of these."""
import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios

BIN = os.path.abspath(sys.argv[1])
DUMP, MERGE, CHECK, LOG, SCALE = (os.path.join(BIN, name) for name in ("rrd-dump", "rrd-merge", "rrd-check", "log_cli", "log_scale"))
ROWS = 30  # of each of log_cli's loops


def run(*command, stdin=subprocess.DEVNULL, **more):
    if "input" in more:
        stdin = None
    return subprocess.run([str(c) for c in command], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, **more)


def expect(result, code, error=None):
    """Asserts the exit code and, as a regular expression, all of standard error."""
    text = result.stderr.decode()
    assert result.returncode == code, f"{result.args}: exit {result.returncode}, not {code}: {text}"
    if error is None:
        assert text == "", f"{result.args}: {text}"
    else:
        assert re.fullmatch(error, text), f"{result.args}: {text!r} is not {error!r}"
    return result.stdout


@contextlib.contextmanager
def two_recordings():
    """Names of two recordings by log_cli, in a directory of their own, which becomes the current one."""
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        expect(run(LOG, "a.rrd", "rec_a", 0), 0)
        expect(run(LOG, "b.rrd", "rec_b", 1000), 0)
        yield "a.rrd", "b.rrd"


def rows_of(*arguments, code=0, error=None, **more):
    return [json.loads(line) for line in expect(run(DUMP, "-F", "ndjson", *arguments, **more), code, error).splitlines()]


def pty_run(columns, *command, environment=None):
    """Output of a command whose standard output is a terminal of that width, and its exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm"} | (environment or {})
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    output = b""
    try:
        while block := os.read(master, 65536):
            output += block
    except OSError:  # the terminal's other side is closed
        pass
    os.close(master)
    return output.decode().replace("\r\n", "\n"), process.wait(timeout=60)
