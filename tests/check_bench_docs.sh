#!/bin/bash
# The tables and plots of docs/bench and of the README are those of the figures in docs/bench/*.json.
set -eu
cd "$RK_SOURCE_DIR"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp README.md docs/bench/*.json "$scratch"
mkdir "$scratch/bench"
mv "$scratch"/*.json "$scratch/bench"
python3 bench/plot.py "$scratch/bench"
python3 bench/table.py "$scratch/bench" "$scratch/README.md"
diff README.md "$scratch/README.md" && diff -r docs/bench "$scratch/bench" || {
  echo "check_bench_docs: these differ from what scripts/bench --docs writes" >&2
  exit 1
}
