"""The figures of docs/bench: what bench_*.c and bench_*.py printed, and which machine they ran on (machine.py)."""
import json
import os
import statistics


def load(directory):
    """{bench: [row]} of what is there, by name."""
    found = {}
    for name in sorted(os.listdir(directory)):
        if name.endswith(".json") and name != "machine.json":
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                found[name[: -len(".json")]] = [json.loads(line) for line in file]
    return found


def machines(directory):
    """{bench: {"machine", "day", "versions"}}"""
    path = os.path.join(directory, "machine.json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def ours(rows, what):
    """The figure of what was measured beside every peer; None: it was not."""
    values = [row["figure"] for row in rows if row["what"] == what]
    return statistics.median(values) if values else None


def theirs(rows, what):
    """{peer: its figure}"""
    return {row["floor_name"]: row["floor"] for row in rows if row["what"] == what}


def number(value):
    """With three digits, as people write it."""
    if value >= 99.95:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}" if value >= 0.001 else f"{value:.1e}"
