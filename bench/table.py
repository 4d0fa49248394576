#!/usr/bin/env python3
"""Writes the figures of DIRECTORY/*.json as tables: DIRECTORY/README.md, and the part of README between its two marks.

usage: table.py DIRECTORY README"""
import os
import sys

from figures import load, machines, number, ours, theirs

# In the order of the page: title, what is asked, plots.
BENCHES = {
    "call": ("A call", "What does a logging call cost its caller, beside a clock read and a copy of the bytes? In bursts, and how far single calls are off.", []),
    "write": ("To disk", "How fast do rows come to disk, beside plain `write` and the plain codec on the same bytes, and how much processor time does that take?", []),
    "write_scale": ("Many", "Does a row cost the same, however many rows, entities, threads and processes there are? Within 20 % is asked.", ["scale"]),
    "write_peers": ("What others log", "What does the same cost with what people use instead? Rows of 64 bytes, each peer as its documentation advises, until all are in the page cache.", ["peers", "calls"]),
    "log_benchmark": ("Rerun's own benchmark", "The work list of `log_benchmark` of Rerun's repository, into a file.", ["log_benchmark", "log_benchmark_large"]),
    "write_size": ("Size of files", "How large are the same rows in a file, beside the official SDK's and MCAP?", ["size"]),
    "merge": ("Merging", "How fast is `rrd-merge`, beside memory copies, the plain codec and `cp`?", []),
    "merge_peers": ("What others merge", "Time and memory of merging the same rows with `rerun rrd merge` and with MCAP's libraries.", []),
    "read": ("Reading", "How fast do the tools read and print, and how much of a file do they read for a part of it?", []),
    "read_peers": ("What others read", "How fast do `babeltrace2`, `rerun rrd print` and MCAP's libraries read and print rows of 64 bytes?", []),
    "scale": ("Large and hostile recordings", "Memory and speed of the tools on recordings of extreme shapes.", []),
    "follow": ("Following", "How long until `rrd-dump -f` prints what was logged?", []),
}
MARKS = ("<!-- figures: written by bench/table.py -->\n", "<!-- end of figures -->\n")


def cell(row):
    return f"{number(row['figure'])} {row['unit']}"


def asked(row):
    return "" if row["met"] is None else f"{row['demand'].replace('>=', '≥').replace('<=', '≤')}: {'met' if row['met'] else '**not met**'}"


def plain_table(rows):
    yield "| what | figure | beside | ratio | over the runs | asked |"
    yield "|---|---:|---:|---:|---|---|"
    for row in rows:
        yield (f"| {row['what']} | {cell(row)} | {row['floor_name']}: {number(row['floor'])} | {number(row['ratio'])} | "
               f"{number(row['ratio_min'])} to {number(row['ratio_max'])} | {asked(row)} |")


def case_table(rows):
    """A line per case, a column per measure: the figure, its ratio to the floor, and what is asked of that."""
    cases, measures = {}, {}
    for row in rows:
        case, measure = row["what"].rsplit(": ", 1)
        cases.setdefault(case, {})[measure] = row
        measures[measure] = f"{row['unit']} (times {row['floor_name']})"
    same = len(set(measures.values())) == 1
    yield f"| {next(iter(measures.values())) if same else ''} | " + " | ".join(m if same else f"{m}, {of}" for m, of in measures.items()) + " |"
    yield "|---|" + "---:|" * len(measures)
    for case, found in cases.items():
        of_case = (f"{number(found[m]['figure'])} ({number(found[m]['ratio'])}{', asked ' + asked(found[m]) if asked(found[m]) else ''})" if m in found else ""
                   for m in measures)
        yield f"| {case} | " + " | ".join(of_case) + " |"


def section(name, rows, known):
    title, question, plots = BENCHES.get(name, (name, "", []))
    yield f"## {title}\n"
    yield question + "\n"
    about = [f"`scripts/bench {'--full ' if rows[0]['full'] else ''}{name}`", f"medians of {rows[0]['runs']} runs" if rows[0]["runs"] > 1 else "one run"]
    if name in known:
        about += [known[name]["machine"], known[name]["day"]]
        about += [f"{peer} {version}" for peer, version in known[name]["versions"].items()]
    yield "; ".join(about) + ".\n"
    for plot in plots:
        yield f"![{title}]({plot}.svg)\n"
    yield from case_table(rows) if name in ("call", "scale") else plain_table(rows)
    yield ""


def page(found, known):
    yield "# Figures\n"
    yield "What `scripts/bench --peers` measured, each figure beside a floor or a peer of the same run; ratios are medians over the runs of figure by"
    yield "floor. A page of `scripts/bench --docs`; the figures are in the JSON files beside it. What they are made of and what was tried: [profile](../profile.md).\n"
    for name in sorted(found, key=lambda name: list(BENCHES).index(name) if name in BENCHES else len(BENCHES)):
        yield from section(name, found[name], known)


def ahead(peer, own, less_is_better):
    """A peer's figure, and how many times rrdkit is ahead."""
    return "" if peer is None or own is None else f"{number(peer)} ({number(peer / own if less_is_better else own / peer)} ×)"


def peers_table(rows):
    yield "| rows of 64 B | a call in bursts, ns | sustained, ns | to disk with one thread, M rows/s | with ten |"
    yield "|---|---:|---:|---:|---:|"
    measures = (("1 thread: call in bursts", True), ("1 thread: call, sustained", True), ("1 thread: rows to disk", False), ("10 threads: rows to disk", False))
    for codec, name in (("none", "uncompressed"), ("LZ4", "LZ4"), ("zstd", "zstd")):
        own = [ours(rows, f"64 B, {codec}, {measure}") for measure, _ in measures]
        if own[2] is None:
            continue
        yield f"| **rrdkit, {name}** | " + " | ".join(f"**{number(value)}**" if value is not None else "" for value in own) + " |"
        of_peers = [theirs(rows, f"64 B, {codec}, {measure}") for measure, _ in measures]
        for peer in sorted(of_peers[2], key=lambda peer: -of_peers[2][peer]):
            yield f"| {peer} | " + " | ".join(ahead(of_peer.get(peer), value, less) for of_peer, value, (_, less) in zip(of_peers, own, measures)) + " |"


HIGHLIGHTS = [  # bench, what, beside, as the README tells it
    ("log_benchmark", "points3d_many_individual: to disk", "Rerun SDK, Rust", "`log_benchmark`: a million points, a row each"),
    ("log_benchmark", "points3d_large_batch: to disk", "Rerun SDK, Rust", "`log_benchmark`: millions of points in one row"),
    ("log_benchmark", "image: to disk", "Rerun SDK, Rust", "`log_benchmark`: large images that compress well"),
    ("merge_peers", "rrd-merge, rows of 100 bytes", "rerun rrd merge", "merging rows of 100 bytes"),
    ("merge_peers", "rrd-merge, rows of 100 bytes: memory", "rerun rrd merge", "memory for that"),
    ("merge_peers", "rrd-merge, rows of 100 bytes", "MCAP, Rust", "merging rows of 100 bytes"),
    ("read_peers", "rk_reader_next", "MCAP, Rust", "reading rows of 64 bytes"),
    ("read_peers", "rrd-dump, 8 numbers", "rerun rrd print", "printing rows of 64 bytes"),
    ("read_peers", "rrd-dump, every byte as a number", "babeltrace2", "printing their bytes as numbers"),
    ("write_size", "text: run.rrd", "official SDK", "a row of text in `run.rrd`"),
    ("write_size", "text: run.rrd.zst", "official SDK", "a row of text in `run.rrd.zst`"),
    ("write_size", "text: run.rrd.zst", "MCAP, zstd", "a row of text in `run.rrd.zst`"),
]


def highlights(found):
    yield "| what | rrdkit | peer | ratio |"
    yield "|---|---:|---:|---:|"
    for bench, what, peer, told in HIGHLIGHTS:
        for row in found.get(bench, []):
            if row["what"] == what and row["floor_name"] == peer:
                yield f"| {told} | {cell(row)} | {peer}: {number(row['floor'])} | {number(row['ratio'])} |"


def miss(bench, row):
    what = f"{bench}, {row['what']}: "
    if row["floor_name"] == "asked":
        return what + f"{cell(row)}, asked {number(row['floor'])}"
    return what + f"{number(row['ratio'])} times {row['floor_name']}, asked {row['demand'].replace('>=', '≥').replace('<=', '≤')}"


def readme(found, known):
    if "write_peers" in found:
        yield "![Rows of 64 bytes to disk, rrdkit and what others use](docs/bench/peers.svg)\n"
        yield from peers_table(found["write_peers"])
        yield "\nIn brackets: how many times rrdkit is ahead. TSC: rows stamped with `RRDKIT_CLOCK=tsc`.\n"
    yield from highlights(found)
    machines_named = sorted({of_bench["machine"] for of_bench in known.values()})
    if machines_named:
        yield "\nMeasured on " + " and ".join(machines_named) + "."
    missed = [miss(name, row) for name, rows in found.items() for row in rows if row["met"] is False]
    count = sum(row["met"] is not None for rows in found.values() for row in rows)
    yield f"\nOf {count} demands {count - len(missed)} are met." + (" Not met:\n" if missed else "")
    yield from (f"- {line}" for line in missed)


def main():
    directory, path = sys.argv[1:]
    found, known = load(directory), machines(directory)
    with open(os.path.join(directory, "README.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(page(found, known)).rstrip() + "\n")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + MARKS[0] + "\n" + "\n".join(readme(found, known)) + "\n\n" + MARKS[1] + after)


main()
