#!/bin/bash
# The include rule: format knows nobody; writer and reader know format and never each other; tools, examples and bench
# see the public headers and their own directory. Every header compiles alone, the public ones also as C++.
set -eu
cd "$RK_SOURCE_DIR"
failed=0
complain() { echo "check_layers: $*" >&2; failed=1; }

# allow DIRECTORY REGEX: quoted includes in DIRECTORY must match REGEX or name a file beside the including one.
allow() {
  local directory=$1 regex=$2 line file name seen=0
  while IFS= read -r line; do
    seen=1
    file=${line%%:*}
    name=$(sed -E 's/.*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/' <<<"$line")
    if [[ $name == */../* || $name == ../* ]]; then
      complain "$file: includes \"$name\" upwards"
    elif [[ ! $name =~ $regex && ! ( $name != */* && -e $(dirname "$file")/$name ) ]]; then
      complain "$file: may not include \"$name\""
    fi
  done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' --include='*.c' --include='*.h' --include='*.inc' "$directory" 2>/dev/null || true)
  [ "$seen" = 1 ] || [ -z "$(find "$directory" -name '*.[ch]' 2>/dev/null)" ] || complain "$directory: no include found at all"
}
allow include '^rrdkit/'
allow format '^(rrdkit|format)/'
allow writer '^(rrdkit|format|writer)/'
allow reader '^(rrdkit|format|reader)/'
allow tools '^(rrdkit|tools|embedded)/' # embedded: made by the build
allow examples '^(rrdkit|examples)/'
allow bench '^(rrdkit|bench|peers)/'
# format is pure: no file, no socket, no clock, no thread, no environment.
impure='<(fcntl|unistd|time|pthread|threads|sys/(stat|mman|socket|time|file|uio|types)|poll|signal|dirent)\.h>|\b(fopen|getenv|clock_gettime|malloc_usable_size)[[:space:]]*\('
found=$(grep -nE "$impure" format/*.[ch] || true)
[ -z "$found" ] || complain "format is not pure: $found"

warnings=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only -D_GNU_SOURCE -I include -I .)
headers=0
one() { # compiler language standard header
  local header=$4
  case $header in include/*) header=${header#include/} ;; esac
  printf '#include "%s"\nextern int not_empty;\n' "$header" | "$1" -x "$2" -std="$3" "${warnings[@]}" - 2>&1 || complain "$4 does not compile alone ($1, $2)"
}
for header in $(find include format writer reader tools examples bench -name '*.h' 2>/dev/null | sort); do
  headers=$((headers + 1))
  one gcc c c17 "$header"
  one clang c c17 "$header"
  case $header in
  include/*)
    one g++ c++ c++11 "$header"
    one clang++ c++ c++11 "$header"
    ;;
  esac
done
[ "$headers" -gt 10 ] || complain "only $headers headers found"
# Base names are unique, so that a name tells one file.
twice=$(git ls-files 'format/*.[ch]' 'writer/*.[ch]' 'reader/*.[ch]' 'tools/*.[ch]' 'include/*.h' 'tests/*.[ch]' | sed 's,.*/,,' | sort | uniq -d)
[ -z "$twice" ] || complain "base names used twice: $twice"
[ "$failed" = 0 ] && echo "$headers headers compile alone; no include crosses a layer"
exit "$failed"
