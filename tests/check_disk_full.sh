#!/bin/sh
# Small file systems, tmpfs and ext4 on a loop device, are filled while processes log, and freed again: every accepted
# row is in the file, every other counted. Needs the right to mount: root, or namespaces of one's own.
set -eu
bin=$(cd "$1" && pwd)
if [ "$(id -u)" != 0 ] && [ "${RK_IN_NAMESPACE:-}" = "" ]; then
  RK_IN_NAMESPACE=1 exec unshare --user --map-root-user --mount "$0" "$bin"
fi
directory=$(mktemp -d)
trap 'umount "$directory/mount" 2>/dev/null || true; rm -rf "$directory"' EXIT
mkdir "$directory/mount"
failed=0

one() { # name processes
  echo "$1, $2 processes:"
  chmod 777 "$directory/mount"
  "$bin/log_full" "$directory/mount" "$2" || { echo "FAIL $1"; failed=1; }
  "$bin/rrd-dump" --info "$directory/mount/run.rrd" | grep '^Dropped' || { echo "FAIL $1: --info tells no drops"; failed=1; }
  rerun=$(dirname "${RK_PYTHON:-/nonexistent}")/rerun
  if [ -x "$rerun" ]; then
    "$rerun" rrd stats "$directory/mount/run.rrd" >"$directory/stats" 2>&1 || { cat "$directory/stats"; failed=1; }
  fi
  umount "$directory/mount"
}

for processes in 1 4; do
  mount -t tmpfs -o size=48m none "$directory/mount" || { echo "FAIL: this check must be allowed to mount"; exit 1; }
  one tmpfs "$processes"
  if [ "${RK_IN_NAMESPACE:-}" = "" ]; then # loop devices are root's alone
    truncate -s 96M "$directory/image"
    mkfs.ext4 -q -F -m 0 "$directory/image"
    mount -o loop "$directory/image" "$directory/mount"
    one ext4 "$processes"
    rm "$directory/image"
  fi
done
exit "$failed"
