#!/bin/sh
# Small file systems, tmpfs and, on a loop device, ext4 and btrfs, are filled while processes log, and freed again: every accepted
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
  if [ "$1" = btrfs ]; then # what was stored is written back at once
    (while sync -f "$directory/mount" 2>/dev/null; do sleep 0.05; done) &
    syncing=$!
  fi
  "$bin/log_full" "$directory/mount" "$2" || { echo "FAIL $1"; failed=1; }
  "$bin/rrd-dump" --info "$directory/mount/run.rrd" | grep '^Dropped' || { echo "FAIL $1: --info tells no drops"; failed=1; }
  rerun=$(dirname "${RK_PYTHON:-/nonexistent}")/rerun
  if [ -x "$rerun" ]; then
    "$rerun" rrd stats "$directory/mount/run.rrd" >"$directory/stats" 2>&1 || { cat "$directory/stats"; failed=1; }
  fi
  if [ "$1" = btrfs ]; then
    kill "$syncing"
    wait "$syncing" || true
    while pgrep -f "sync -f $directory/mount" >/dev/null; do sleep 0.05; done # its last one
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
    if grep -qw btrfs /proc/filesystems || modprobe -q btrfs; then
      truncate -s 192M "$directory/image"
      mkfs.btrfs -q -m single "$directory/image" >/dev/null
      mount -o loop "$directory/image" "$directory/mount"
      if [ "$processes" = 1 ]; then
        one btrfs 1
      else # its copies on write then need more than there is: a spool in memory
        RRDKIT_SPOOL_DIR=/dev/shm/check_disk_full.$$ one btrfs "$processes"
        rmdir /dev/shm/check_disk_full.$$
      fi
      rm "$directory/image"
    fi
  fi
done
exit "$failed"
