#!/bin/bash
# A recording shared by several users works where its mode allows it, and says so where not. Needs root, to be others.
set -eu
bin=$1
[ "$(id -u)" = 0 ] || { echo "check_users: only root can run programs as other users" >&2; exit 1; }
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/bin" # where others may reach it
cp "$bin/example-scalars" "$bin/log_follow" "$bin/rrd-dump" "$bin/rrd-check" "$directory/bin"
chmod 755 "$directory" "$directory/bin"
mkdir -m 777 "$directory/shared"
cd "$directory/shared"
PATH=$directory/bin:$PATH
as() { # user id, then a command
  local user=$1
  shift
  setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
}
fail() {
  echo "check_users: $*" >&2
  exit 1
}
pause_while() { # process
  kill -0 "$1" 2>/dev/null || fail "what was waited for did not come"
  sleep 0.05
}

# Mode 0644: another user is told.
(umask 022 && example-scalars closed.rrd)
as 60001 example-scalars closed.rrd 2>errors && fail "a file without permission was written"
grep -q "no permission to append to .*closed.rrd" errors || fail "the refusal does not say why: $(cat errors)"
as 60001 rrd-dump closed.rrd >/dev/null || fail "a readable file was not read"

# Mode 0666: two users record at once.
umask 000
as 60001 example-scalars open.rrd &
until [ -s open.rrd ]; do pause_while $!; done
as 60002 example-scalars open.rrd || fail "the second user could not join"
wait $! || fail "the first user failed"
rows=$(rrd-dump open.rrd | grep -c '  Scalars ')
[ "$rows" = 16000 ] || fail "$rows of 16000 rows"
[ ! -e open.rrd.spool ] || fail "the spool was left"

# One user's processes are killed; a second reads what they left, a third brings it in.
as 60001 log_follow killed.rrd 2 3600000 1000 3600000 1 >pids & # rows stay in the rings
until [ "$(wc -l <pids)" = 2 ] && [ "$(rrd-dump killed.rrd 2>/dev/null | wc -l)" -gt 0 ]; do pause_while $!; done
kill -KILL $! $(cat pids)
wait $! || true
before=$(ls -lR --full-time killed.rrd killed.rrd.spool)
left=$(as 60002 rrd-dump killed.rrd | wc -l)
in_file=$(as 60002 rrd-dump --ignore-spool killed.rrd | wc -l)
[ "$left" -gt "$in_file" ] || fail "nothing was left in a spool"
[ "$before" = "$(ls -lR --full-time killed.rrd killed.rrd.spool)" ] || fail "reading changed something"
as 60003 rrd-check --finish killed.rrd || fail "the third user could not bring the rows in"
[ "$(rrd-dump killed.rrd | wc -l)" = "$left" ] || fail "rows were lost or doubled"
[ ! -e killed.rrd.spool ] || fail "the spool of the dead was left"
echo "three users: $rows rows together, $left rows of the killed"
