"""What all bench_*.py share: options, programs that tell of themselves in a line of JSON, and the lines of figures beside others, one
pair per run, as bench_tell of bench.c prints them."""
import argparse
import json
import os
import statistics
import subprocess


def options_of(about):
    parser = argparse.ArgumentParser(description=about.split("\n", 1)[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--directory", default=".")
    parser.add_argument("--peers", metavar="DIR", type=os.path.abspath, help="where bench/peers/build put what could be built")
    parser.add_argument("bin", type=os.path.abspath)
    options = parser.parse_args()
    options.runs = options.runs or (5 if options.full else 3)
    options.met = True
    return options


def peer_of(options, name):
    """The path of a program of bench/peers; None: it was not built, or is not wanted."""
    path = os.path.join(options.peers or "", name)
    return path if options.peers and os.path.exists(path) else None


def run_measured(options, words, out=os.devnull):
    """Seconds and peak resident bytes of a program whose output goes to `out`."""
    told = subprocess.run([f"{options.bin}/bench-measure", options.bin, out, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          check=True, env={**os.environ, "RUST_LOG": "warn"})
    seconds, peak = told.stdout.split()
    return float(seconds), int(peak)


def run_program(words, **more):
    """What it tells in the last line."""
    told = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, **more).stdout
    return json.loads(told.splitlines()[-1])


def tell(options, bench, what, unit, figure, floor_name, floor, at_least=None, at_most=None):
    """`figure` and `floor`: one per run. What is demanded, is demanded of the median of the ratios."""
    ratios = [a / b for a, b in zip(figure, floor)]
    ratio = statistics.median(ratios)
    met = None if at_least is None and at_most is None else (at_least is None or ratio >= at_least) and (at_most is None or ratio <= at_most)
    demand = "" if met is None else f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}"
    values = dict(bench=bench, what=what, unit=unit, figure=statistics.median(figure), floor_name=floor_name,
                  floor=statistics.median(floor), ratio=ratio, ratio_min=min(ratios), ratio_max=max(ratios), runs=len(ratios),
                  full=options.full, demand=demand, met=met)
    options.met &= met is not False
    if options.json:
        print(json.dumps(values), flush=True)
        return
    asked = "" if met is None else f", asked {demand}: {'met' if met else 'NOT met'}"
    print(f"{what:52} {values['figure']:10.4g} {unit:6} | {floor_name} {values['floor']:.4g} | ratio {ratio:.3g} "
          f"({min(ratios):.3g} to {max(ratios):.3g}, {len(ratios)} runs){asked}", flush=True)
