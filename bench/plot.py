#!/usr/bin/env python3
"""Draws the figures of DIRECTORY/*.json as DIRECTORY/*.svg. usage: plot.py DIRECTORY"""
import os
import statistics
import sys

from figures import load, number, ours, theirs
from svg import bars, panels

CODECS = (("none", "uncompressed"), ("LZ4", "LZ4"), ("zstd", "zstd"))


def by_codec(rows, measures, best):
    """Of each codec, a heading and the rows of rrdkit and its peers, `best` first: what bars() draws, a bar per measure."""

    def values(codec, name):
        found = []
        for measure in measures:
            what = f"64 B, {codec}, {measure}"
            value = ours(rows, what) if name == "rrdkit" else theirs(rows, what).get(name)
            if value is not None:
                found.append((value, number(value)))
        return found

    made = []
    for codec, heading in CODECS:
        names = theirs(rows, f"64 B, {codec}, {measures[0]}")
        peers = sorted(((name, values(codec, name), name.startswith("rrdkit")) for name in names), key=lambda row: best * row[1][0][0])
        made.append((heading, [("rrdkit", values(codec, "rrdkit"), True), *peers]))
    return made


def label_first(groups, labels):
    """Says of the first row which of its bars is what."""
    first = next(of_group[0][1] for _, of_group in groups if of_group[0][1])
    first[:] = [(value, f"{text} {label}") for (value, text), label in zip(first, labels)]
    return groups


def rates(directory, rows):
    groups = label_first(by_codec(rows, ("1 thread: rows to disk", "10 threads: rows to disk"), -1), ("one thread", "ten threads"))
    bars(os.path.join(directory, "peers.svg"), "Rows of 64 bytes to disk", "More is better. Upper bar: one thread; lower bar: ten threads. Until all rows are in the page cache.",
         "million rows a second", groups)


def calls(directory, rows, call):
    floor = [row["floor"] for row in call if row["what"] == "64 B: in bursts"]
    groups = label_first(by_codec(rows, ("1 thread: call in bursts", "1 thread: call, sustained"), 1), ("in bursts", "sustained"))
    bars(os.path.join(directory, "calls.svg"), "What a call costs its caller",
         "Less is better. Rows of 64 bytes, one thread. Upper bar: in bursts of a thousand; lower bar: millions, as fast as they go.",
         "ns a call", groups, mark=(floor[0], f"a clock read and a copy: {number(floor[0])} ns") if floor else None)


SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹"


def count_text(count):
    return f"{count:g}" if count < 1e4 else f"10{SUPERSCRIPT[len(str(int(count))) - 1]}"


def scale(directory, rows):
    found = {}
    for row in rows:
        count, axis = row["what"].split(": ")[1].split()
        found.setdefault(axis, []).append((count_text(float(count)), row["ratio"], number(row["figure"])))
    plain = statistics.median(row["floor"] for row in rows)
    panels(os.path.join(directory, "scale.svg"), "Does a row cost the same, however many there are?",
           f"Processor time of a row of 64 bytes with LZ4, beside one thread, one entity, a million rows ({number(plain)} ns). Labels: ns.",
           "times the plain case", list(found.items()), (0.8, 1.2, "Green: within 20 % of the plain case."))


KINDS = {"random": "eight numbers", "scalar": "a sine", "text": "a line of text", "points": "a hundred points"}


def size(directory, rows):
    groups = []
    for kind, heading in KINDS.items():
        plain = theirs(rows, f"{kind}: run.rrd")
        if not plain:
            continue
        sizes = [("rrdkit, .rrd", ours(rows, f"{kind}: run.rrd")), ("rrdkit, .rrd.zst", ours(rows, f"{kind}: run.rrd.zst"))]
        sizes += [(f"MCAP, {codec}", plain[f"MCAP, {codec}"]) for codec in ("none", "lz4", "zstd")]
        sdk = plain["official SDK"]
        groups.append((f"{heading}: {number(sdk)} B", [(name, [(value / sdk, f"{value / sdk:.2f} ({number(value)} B)")], name.startswith("rrdkit"))
                                                       for name, value in sizes]))
    bars(os.path.join(directory, "size.svg"), "How large a row is in the file", "Less is better. The same rows with the same times; MCAP holds bare bytes without names or types.",
         "times the size in a file of the official SDK", groups, mark=(1, "the official SDK"))


def log_benchmark(directory, rows):
    for large, unit, axis, name, about in (
        (False, "M rows/s", "million rows a second", "log_benchmark", "rows that are small"),
        (True, "MB/s", "MB a second", "log_benchmark_large", "rows that are large"),
    ):
        groups = []
        for what in dict.fromkeys(row["what"] for row in rows if row["unit"] == unit):
            values = {"rrdkit": ours(rows, what), **theirs(rows, what)}
            groups.append((what.split(":")[0], [(name, [(value, number(value))], name == "rrdkit") for name, value in values.items()]))
        if groups:
            bars(os.path.join(directory, f"{name}.svg"), f"The work list of Rerun's log_benchmark: {about}",
                 "More is better. One thread, LZ4, until all rows are in the page cache.", axis, groups)


def main():
    directory = sys.argv[1]
    found = load(directory)
    if "write_peers" in found:
        rates(directory, found["write_peers"])
        calls(directory, found["write_peers"], found.get("call", []))
    if "write_scale" in found:
        scale(directory, found["write_scale"])
    if "write_size" in found:
        size(directory, found["write_size"])
    if "log_benchmark" in found:
        log_benchmark(directory, found["log_benchmark"])


main()
