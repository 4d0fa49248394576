#!/bin/sh
# 8 processes of 4 threads: 5,000 rows each of 16 B to 64 KiB, then 100,000 small ones; every row read back and compared.
# The small ones are stamped by the time-stamp counter where there is one.
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
"$1/log_stress" "$directory/mixed.rrd" 8 4 5000 16 65536
rm -rf "$directory"/*
RRDKIT_CLOCK=tsc "$1/log_stress" "$directory/small.rrd" 8 4 100000 16 64
