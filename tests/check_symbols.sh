#!/bin/bash
# A shared build exports exactly the functions that the public headers declare RK_API, and all of them.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake -S "$RK_SOURCE_DIR" -B "$work" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DRRDKIT_WERROR=OFF -DRRDKIT_BUILD_TESTS=OFF \
  -DRRDKIT_BUILD_TOOLS=ON -DRRDKIT_BUILD_EXAMPLES=OFF >"$work/log" 2>&1 && cmake --build "$work" -j"$(nproc)" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
nm -D --defined-only "$work/librrdkit.so" | awk '{print $3}' | sort >"$work/exported"
# Declared: after the preprocessor, every name that follows the visibility attribute up to its parameter list.
for header in "$RK_SOURCE_DIR"/include/rrdkit/*.h; do
  printf '#include "rrdkit/%s"\n' "$(basename "$header")"
done | gcc -E -P -I "$RK_SOURCE_DIR/include" -x c - | tr '\n' ' ' |
  grep -oE '__attribute__\(\(visibility\("default"\)\)\)[^;(]*\(' | grep -oE 'rk_[a-z0-9_]+ *\($' | tr -d ' (' | sort -u >"$work/declared"
[ "$(wc -l <"$work/declared")" -gt 30 ] || { echo "check_symbols: only $(wc -l <"$work/declared") declared functions found" >&2; exit 1; }
if ! diff "$work/declared" "$work/exported" >"$work/diff"; then
  echo "check_symbols: < declared RK_API but not exported, > exported but not declared:" >&2
  cat "$work/diff" >&2
  exit 1
fi
version=$(sed -nE 's/^project\(rrdkit VERSION ([0-9.]+).*/\1/p' "$RK_SOURCE_DIR/CMakeLists.txt")
soname=$(objdump -p "$work/librrdkit.so" | awk '$1 == "SONAME" {print $2}')
[ "$soname" = "librrdkit.so.${version%%.*}" ] || { echo "check_symbols: the soname is $soname" >&2; exit 1; }
echo "$(wc -l <"$work/exported") functions exported, all declared; soname $soname"
