#!/bin/bash
# A static archive of writer and format is under 400 KB (DESIGN, budgets) as a release build makes it, needs nothing of
# the reader, and nothing in the library is C++ or Rust.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$RK_SOURCE_DIR"
cmake --preset release -B "$work" -DBUILD_SHARED_LIBS=OFF -DRRDKIT_WERROR=OFF -DRRDKIT_BUILD_TESTS=OFF \
  -DRRDKIT_BUILD_TOOLS=OFF -DRRDKIT_BUILD_EXAMPLES=OFF >"$work/log" 2>&1 && cmake --build "$work" -j"$(nproc)" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
objects=$(find "$work" -path '*/format/*.o' -o -path '*/writer/*.o')
for layer in format writer; do
  [ "$(grep -c "/$layer/" <<<"$objects")" = "$(find "$RK_SOURCE_DIR/$layer" -name '*.c' | wc -l)" ] ||
    { echo "check_archive: not every file of $layer was built" >&2; exit 1; }
done
# shellcheck disable=SC2086
ar qcs "$work/writer.a" $objects
size=$(stat -c %s "$work/writer.a")
echo "writer + format: $size bytes; whole library: $(stat -c %s "$work/librrdkit.a")"
[ "$size" -gt 20000 ] && [ "$size" -lt 400000 ] || { echo "check_archive: $size bytes, the budget is 400000" >&2; exit 1; }
# What format and writer leave undefined is the C library, lz4 and xxhash; an rk_ name would be one of the reader's.
nm -u "$work/writer.a" | awk '$1 == "U" {print $2}' | sort -u >"$work/needed"
nm --defined-only "$work/writer.a" | awk 'NF == 3 {print $3}' | sort -u >"$work/offered"
missing=$(comm -23 "$work/needed" "$work/offered" | grep '^rk_' || true)
[ -z "$missing" ] || { echo "check_archive: writer and format need from elsewhere: $missing" >&2; exit 1; }
foreign=$(nm "$work/librrdkit.a" | awk '{print $NF}' | grep -E '^(_Z|_R|__cxa|__gxx|rust_|_Unwind)' || true)
[ -z "$foreign" ] || { echo "check_archive: C++ or Rust symbols: $foreign" >&2; exit 1; }
