"""A session of LTTng for bench/peers/peer_lttng.c."""
import os
import shutil
import subprocess
import tempfile
import time

from telling import run_program


class Lttng:
    """A session daemon of our own, with one session per run."""

    def __init__(self, program):
        self.program = program
        self.home = tempfile.mkdtemp(dir=".")
        self.environment = {**os.environ, "LTTNG_HOME": os.path.abspath(self.home), "LTTNG_UST_ALLOW_BLOCKING": "1"}
        self.daemon = subprocess.Popen(["lttng-sessiond", "--no-kernel", "--quiet"], env=self.environment, stdin=subprocess.DEVNULL)
        for _ in range(100):
            if subprocess.run(["lttng", "list"], env=self.environment, capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        self.end()
        raise OSError("no session daemon")

    def control(self, *words):
        subprocess.run(["lttng", *words], env=self.environment, stdout=subprocess.DEVNULL, check=True)

    def run(self, rows, threads):
        """What the peer tells; its trace is removed."""
        told = self.record("trace", rows, threads)
        shutil.rmtree("trace")
        return told

    def record(self, trace, rows, threads):
        trace = os.path.abspath(trace)
        self.control("create", "bench", f"--output={trace}")
        # Its documentation's way to lose nothing, as no peer here does.
        self.control("enable-channel", "-u", "--blocking-timeout=inf", "--subbuf-size=1M", "--num-subbuf=8", "rows")
        self.control("enable-event", "-u", "-c", "rows", "bench:row")
        self.control("start")
        told = run_program([self.program, "unused", str(rows), str(threads)], env=self.environment)
        begin = time.monotonic()
        self.control("stop")  # waits until the consumer has written all
        told["seconds"] += time.monotonic() - begin
        self.control("destroy")
        return told

    def end(self):
        self.daemon.terminate()
        self.daemon.wait()
        shutil.rmtree(self.home)
