#!/usr/bin/env python3
"""The figures of docs/bench/*.json as one table of Markdown. usage: table.py DIRECTORY"""
import glob
import json
import os
import platform
import sys


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    print("# Figures\n")
    print(f"By `scripts/bench` on {os.cpu_count()} x {processor()}, Linux {platform.release()}. A figure stands beside a floor that was")
    print("measured in the same run; medians, and the spread of the ratio over the runs.\n")
    print("| what | figure | floor | ratio | spread | runs | asked |")
    print("|---|---:|---:|---:|---|---:|---|")
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.json"))):
        with open(path, encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                asked = "" if row["met"] is None else f"{row['demand']}: {'met' if row['met'] else '**not met**'}"
                size = "" if row["full"] else " (small)"
                print(f"| {row['what']}{size} | {row['figure']:.4g} {row['unit']} | {row['floor_name']}: {row['floor']:.4g} | "
                      f"{row['ratio']:.3g} | {row['ratio_min']:.3g} to {row['ratio_max']:.3g} | {row['runs']} | {asked} |")


main()
