#!/bin/sh
# Every C file is formatted as .clang-format says, by the clang-format that tests/requirements.txt pins.
set -eu
cd "$RK_SOURCE_DIR"
tool=${RK_PYTHON:+$(dirname "$RK_PYTHON")/}clang-format
pinned=$(sed -n 's/^clang-format==//p' tests/requirements.txt)
"$tool" --version | grep -qF "version $pinned" || { echo "check_format: need clang-format $pinned; $tool is another" >&2; exit 1; }
files=$(find . \( -name build -o -name node_modules -o -name .git \) -prune -o -name '*.[ch]' -print)
count=$(echo "$files" | wc -l)
[ "$count" -gt 20 ] || { echo "check_format: only $count files found" >&2; exit 1; }
# shellcheck disable=SC2086 # no file here has a space in its name
"$tool" --dry-run -Werror $files
echo "$count files are formatted"
