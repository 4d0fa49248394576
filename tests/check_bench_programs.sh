#!/bin/bash
# The programs that bench/ runs as rrdkit beside its peers log what they say, and it is sound.
set -eu
bin=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
fail() { echo "check_bench_programs: $*" >&2; exit 1; }

# judge FILE ROWS TOLD: as many rows as were told, and as should be.
judge() {
  "$bin/rrd-check" -q "$1" || fail "$1 is not sound"
  rows=$("$bin/rrd-dump" -F ndjson "$1" | grep -vc '"entity":"/__properties')
  [ "$rows" = "$2" ] || fail "$1: $rows rows, not $2"
  [ -z "$3" ] || grep -q "\"rows\":$2," <<<"$3" || fail "$1: told $3"
}
while read -r work count rows; do
  judge "$work.rrd" "$rows" "$("$bin/log-benchmark" "$work.rrd" "$work" "$count")"
done <<'LIST'
points3d_large_batch 1000 1
points3d_many_individual 1000 1000
boxes3d 1 1
transform3d 100 1000
scalars 2 1200
image 64 4
LIST
"$bin/peer-rrdkit" two.rrd 1000 2 >two.json
grep -q '"rows":1000,' two.json || fail "peer-rrdkit told $(cat two.json)"
judge two.rrd 41000 "" # with the bursts of two threads
echo "rows of log-benchmark and peer-rrdkit are there"
