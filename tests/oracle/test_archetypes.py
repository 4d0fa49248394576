#!/usr/bin/env python3
"""Our archetypes against Rerun's own: names and types of the table, and what the typed calls write.

usage: test_archetypes.py BIN_DIR
"""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import archetype_values  # noqa: E402
import rerun.components  # noqa: E402
import rrdfile  # noqa: E402

failures = 0


def expect(condition, message):
    global failures
    if not condition:
        failures += 1
        print(f"FAIL {message}")


def load_table():
    loader = importlib.machinery.SourceFileLoader("gen_archetypes", os.path.join(ROOT, "scripts", "gen-archetypes"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gen_archetypes", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    with open(os.path.join(ROOT, "format", "archetypes.txt"), encoding="utf-8") as file:
        return module.Table(file.read())


def check_table(table):
    """Names, fields in order, component types and, where the SDK states them, Arrow types."""
    theirs = {n: f for n, f in archetype_values.archetypes().items() if n not in archetype_values.NEWER}
    ours = {a.name: [(f.name, f.component.name) for f in a.fields] for a in table.archetypes}
    expect(set(ours) == set(theirs), f"archetypes that only one side has: {set(ours) ^ set(theirs)}")
    for name in sorted(set(ours) & set(theirs)):
        expect(ours[name] == theirs[name], f"{name}: {ours[name]} is not Rerun's {theirs[name]}")
    for component in table.components.values():
        batch = getattr(rerun.components, f"{component.name}Batch")
        stated = rrdfile.text_of_type(batch._ARROW_DATATYPE)
        # The SDK's Python statement of tensor names differs from what it writes; the columns below decide.
        if component.name != "TensorData":
            expect(component.type == stated, f"{component.name}: {component.type} is not Rerun's {stated}")
    for name, values in table.enums.items():
        if name in ("TensorDatatype", "PixelFormat"):  # named by Rerun's union and YUV naming; the numbers are tested by use
            continue
        theirs = getattr(rerun.components, name, None) or getattr(rerun.encodings, {"ViewDirection": "ViewDir"}.get(name, name))
        for value_name, value in values:
            expect(getattr(theirs, value_name).value == value, f"{name}.{value_name} is not {value}")


def cells(path):
    """(entity, static, column) -> (field, instances)."""
    found = {}
    for chunk in rrdfile.chunks(path):
        for field, column in chunk.columns(b"data"):
            for row in range(chunk.batch.num_rows):
                if column[row].is_valid:
                    key = (chunk.entity, chunk.is_static, field.name)
                    expect(key not in found, f"{path}: {key} twice")
                    found[key] = (field, rrdfile.instances(column[row], field.type))
    return {key: value for key, value in found.items() if not key[0].startswith("/__")}


def check_recordings(table, ours_path, theirs_path, expected):
    ours, theirs = cells(ours_path), cells(theirs_path)
    types = {f.column: f.component.type for a in table.archetypes for f in a.fields}
    wanted = {(entity, entity.startswith("/static/"), c): v for entity, values in expected.items() for c, v in values.items()}
    expect(len(wanted) > 500, f"only {len(wanted)} cells expected")
    for key in sorted(set(wanted) | set(ours) | set(theirs)):
        entity, _, column = key
        if not (key in wanted and key in ours and key in theirs):
            sides = ((wanted, "expected"), (ours, "ours"), (theirs, "Rerun's"))
            expect(False, f"{key}: not in {', '.join(n for side, n in sides if key not in side)}")
            continue
        (our_field, our_values), (their_field, their_values) = ours[key], theirs[key]
        expect(their_values == wanted[key], f"{entity} {column}: the SDK wrote {their_values}, expected {wanted[key]}")
        expect(our_values == their_values, f"{entity} {column}: {our_values} is not {their_values}")
        expect(
            our_field.equals(their_field, check_metadata=False),
            f"{entity} {column}: field {our_field} is not {their_field}",
        )
        expect(
            our_field.metadata == their_field.metadata,
            f"{entity} {column}: metadata {our_field.metadata} is not {their_field.metadata}",
        )
        item = our_field.type.value_field
        expect(item.name == "item" and item.nullable, f"{entity} {column}: item field {item}")
        expect(
            rrdfile.text_of_type(item.type) == types[column],
            f"{column}: written as {rrdfile.text_of_type(item.type)}, the table says {types[column]}",
        )
    return len(wanted)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect(done.returncode == 0, f"{' '.join(command)} exits {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def main():
    bin_dir = sys.argv[1]
    rerun_cli = os.path.join(os.path.dirname(sys.executable), "rerun")
    table = load_table()
    check_table(table)
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = os.path.join(directory, "ours.rrd"), os.path.join(directory, "theirs.rrd")
        run(os.path.join(bin_dir, "log_archetypes"), ours)
        expected = archetype_values.save_official(theirs)
        if not failures:
            count = check_recordings(table, ours, theirs, expected)
            run(rerun_cli, "rrd", "verify", "--check-footers=false", ours)
            shown = run(rerun_cli, "rrd", "print", "-vv", ours)
            for entity in expected:
                expect(f" - {entity} - " in shown, f"rerun rrd print does not show {entity}")
            print(f"{count} cells of {len(expected)} rows agree" if not failures else f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
