"""The lines that bench_*.py print: a figure beside another, one pair per run, as bench_tell of bench.c prints them."""
import argparse
import json
import statistics


def options_of(about, *more):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--directory", default=".")
    for option in more:
        parser.add_argument(option)
    parser.add_argument("bin")
    options = parser.parse_args()
    options.runs = options.runs or (5 if options.full else 3)
    options.met = True
    return options


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
