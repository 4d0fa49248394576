#!/bin/sh
# The chaos harness for a while: a seed that is always the same, then one that is never (and is printed).
set -eu
directory=$(mktemp -d)
trap 'rmdir "$directory" 2>/dev/null || echo "kept: $directory"' EXIT
"$1/log_chaos" --directory "$directory" --seed 1 --seconds 15
"$1/log_chaos" --directory "$directory" --seconds 10
