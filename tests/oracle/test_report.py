"""rrd-merge --report: the sum of the output is what xxhash says of it, and its numbers are those that Rerun sees."""
import json
import os
import subprocess
import sys
import tempfile

import xxhash

BIN = os.path.abspath(sys.argv[1])


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        subprocess.run([f"{BIN}/log_scale", "in.rrd", "writers=3", "chunks=40", "rows=500", "entities=4", "overlap=4", "bytes=200"], check=True)
        for name in ("out.rrd", "out.rrd.zst"):
            subprocess.run([f"{BIN}/rrd-merge", "-o", name, "--report=report.json", "in.rrd"], check=True)
            with open("report.json", encoding="utf-8") as file:
                output = json.load(file)["output"]
            with open(name, "rb") as file:
                content = file.read()
            assert output["size"] == len(content), output
            assert output["xxh3"] == xxhash.xxh3_64_hexdigest(content), output
            assert output["rows"] == 3 * 40 * 500, output
        os.chdir("/")
    print("the report tells of the file that is there")


main()
