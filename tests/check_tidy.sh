#!/bin/sh
# clang-tidy finds nothing in the library, the tools and the examples.
set -eu
cd "$RK_SOURCE_DIR"
tool=${RK_PYTHON:+$(dirname "$RK_PYTHON")/}clang-tidy
pinned=$(sed -n 's/^clang-tidy==//p' tests/requirements.txt)
"$tool" --version | grep -qF "version $pinned" || { echo "check_tidy: need clang-tidy $pinned; $tool is another" >&2; exit 1; }
files=$(find format writer reader tools examples -name "*.c" | sort)
count=$(echo "$files" | wc -l)
[ "$count" -gt 100 ] || { echo "check_tidy: only $count files found" >&2; exit 1; }
# The compiler's own headers (stddef.h) are those of the installed clang.
resources=$(clang -print-resource-dir)
# gcc's flags that clang does not have are gcc's business. With its default of 225,000 nodes a function the analyser takes
# twice as long.
# One file a run: over several, version 14 takes every va_list for uninitialized.
echo "$files" | xargs -n 1 -P "$(nproc)" "$tool" --quiet -p "$RK_BUILD_DIR" --extra-arg=-resource-dir="$resources" \
  --extra-arg=-Wno-ignored-optimization-argument \
  --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=100000
echo "$count files are tidy"
