#!/bin/sh
# Random damage to a recording of some megabytes, with a fixed seed and one of its own. By hand: log_damage FILE 10000 SEED.
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
echo "seeds 1 and $seed"
"$1/log_damage" "$directory/fixed.rrd" 300 1
"$1/log_damage" "$directory/random.rrd" 300 "$seed"
