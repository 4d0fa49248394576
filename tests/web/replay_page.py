"""rrd-replay with its page in headless Chromium (replay.mjs), for tests and for pictures."""

import json
import os
import subprocess
from pathlib import Path

WEB = Path(__file__).parent
VIEWER = WEB / "node_modules" / "@rerun-io" / "web-viewer"


class Browser:
    """Each method is a command of replay.mjs."""

    def __init__(self):
        self.process = subprocess.Popen(["node", str(WEB / "replay.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __getattr__(self, name):
        def tell(**arguments):
            self.process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            assert line, "the browser's script died"
            answer = json.loads(line)
            assert "error" not in answer, f"{name} {arguments}: {answer['error']}"
            return answer["ok"]

        return tell

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Replay:
    """rrd-replay at work."""

    def __init__(self, bin_directory, *arguments):
        command = [bin_directory / "rrd-replay", "--no-browser", *arguments]
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, "RRDKIT_WEB_VIEWER": str(VIEWER)})
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        errors = self.process.communicate(timeout=60)[1]
        assert kind is not None or (self.process.returncode == 0 and errors == ""), f"rrd-replay: exit {self.process.returncode} {errors}"
