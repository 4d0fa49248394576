#!/bin/bash
# run.rrd.zst: many processes log into one, and it is what zstd, libarchive and our own reader of the plain stream read;
# the harnesses of the plain recording (chaos, random damage, full disk) on it, for a while.
set -eu
bin=$(cd "$1" && pwd)
directory=$(mktemp -d)
trap 'umount "$directory/mount" 2>/dev/null || true; rm -rf "$directory"' EXIT
run=$directory/run.rrd.zst
die() { echo "check_zst: $*" >&2; exit 1; }
rows() { "$bin/rrd-dump" -F ndjson "$1" | md5sum; }

"$bin/log_stress" "$run" 8 4 1000 16 65536
"$bin/rrd-check" "$run" | grep -q ': sound, not finished' || die "not sound"
before=$(rows "$run")
"$bin/rrd-check" --finish "$run" | grep -q ': sound, finished' || die "not finished"
zstd -qt "$run" || die "zstd finds it damaged"
zstd -qdc "$run" >"$directory/plain.rrd"
bsdcat "$run" | cmp - "$directory/plain.rrd" || die "libarchive reads something else than zstd"
"$bin/rrd-check" "$directory/plain.rrd" | grep -q ': sound, finished' || die "the plain stream is not sound"
[ "$before" = "$(rows "$run")" ] || die "finishing has changed rows"
[ "$before" = "$(rows "$directory/plain.rrd")" ] || die "the plain stream holds other rows"
[ "$before" = "$(rows - <"$run")" ] || die "standard input is read otherwise"

# It is joined as what it is, whatever its name; a finished one goes on.
mv "$run" "$directory/renamed"
"$bin/rrd-check" --finish "$directory/renamed" | grep -q ': sound, finished' || die "not joined under another name"
zstd -qdc "$directory/renamed" | cmp - "$directory/plain.rrd" || die "finished twice it is another one"
rm "$directory/renamed"

# Two after one another, as their plain streams are.
"$bin/log_stress" "$directory/a.rrd.zst" 1 2 50 16 512
"$bin/log_stress" "$directory/b.rrd.zst" 2 1 50 16 512
cat "$directory/a.rrd.zst" "$directory/b.rrd.zst" >"$directory/both.rrd.zst"
{ zstd -qdc "$directory/a.rrd.zst"; zstd -qdc "$directory/b.rrd.zst"; } >"$directory/both.rrd"
[ "$(rows "$directory/both.rrd.zst")" = "$(rows "$directory/both.rrd")" ] || die "the concatenation of two holds other rows"
rm -f "$directory"/*.rrd*

# The writers of small records, to many units.
"$bin/log_stress" "$directory/small.rrd.zst" 4 4 20000 16 64

# What is told of a shared recording holds for it: the unit tests of healing, adopting, leaving and finishing.
for test in test_heal test_adopt test_adopt_dying test_adopt_spool test_participants test_participants_finish \
    test_participants_stock test_writer_threads test_full; do
  RK_TEST_NAME=run.rrd.zst "$RK_BUILD_DIR/tests/$test" >"$directory/log" 2>&1 || { cat "$directory/log"; die "$test"; }
done

seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
echo "seeds 1 and $seed"
"$bin/log_damage" "$directory/fixed.rrd.zst" 150 1
"$bin/log_damage" "$directory/random.rrd.zst" 150 "$seed"
"$bin/log_chaos" --zst --directory "$directory/chaos" --seed 3 --seconds 6

# A small file system is filled and freed again.
if [ "$(id -u)" = 0 ]; then
  mkdir "$directory/mount"
  mount -t tmpfs -o size=48m none "$directory/mount" || die "this check must be allowed to mount"
  "$bin/log_full" "$directory/mount" 3 run.rrd.zst
else
  unshare --user --map-root-user --mount sh -c \
    "mkdir '$directory/mount' && mount -t tmpfs -o size=48m none '$directory/mount' && '$bin/log_full' '$directory/mount' 3 run.rrd.zst"
fi
