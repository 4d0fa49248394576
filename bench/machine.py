#!/usr/bin/env python3
"""Notes in DIRECTORY/machine.json which machine a bench has just run on, and versions of its peers.

usage: machine.py DIRECTORY BENCH [PEERS]"""
import datetime
import json
import os
import platform
import re
import subprocess
import sys
from importlib import metadata

from figures import machines


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def told(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions(peers):
    found = {f"{name} (Python)": metadata.version(name) for name in ("rerun-sdk", "mcap")}
    if peers:
        built = os.path.join(peers, "rust", "Cargo.toml")
        if os.path.exists(built):
            with open(built, encoding="utf-8") as file:
                found.update({f"{name} (crate)": version for name, version in re.findall(r'^(rerun|mcap) = .*?"=([0-9.]+)"', file.read(), re.M)})
        for name, package in (("spdlog", "spdlog"), ("LTTng-UST", "lttng-ust")):
            if version := told("pkg-config", "--modversion", package).strip():
                found[name] = version
        if version := re.search(r"Babeltrace ([0-9.]+)", told("babeltrace2", "--version")):
            found["Babeltrace"] = version[1]
    return found


def main():
    directory, bench = sys.argv[1:3]
    known = machines(directory)
    known[bench] = {
        "machine": f"{os.cpu_count()} × {processor()}, Linux {re.match(r'[0-9.]*', platform.release())[0]}",
        "day": datetime.date.today().isoformat(),
        "versions": versions(sys.argv[3] if len(sys.argv) > 3 else None) if bench.endswith(("_peers", "_size", "_benchmark")) else {},
    }
    with open(os.path.join(directory, "machine.json"), "w", encoding="utf-8") as file:
        json.dump(dict(sorted(known.items())), file, indent=1, ensure_ascii=False)
        file.write("\n")


main()
