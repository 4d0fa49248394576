#!/bin/bash
# Outside projects can use rrdkit: by find_package and pkg-config from an installed tree that was moved, static and
# shared, and by add_subdirectory. Each builds, logs a row, and rrd-dump finds it.
set -eu
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
consumers=$RK_SOURCE_DIR/tests/consumers
export CMAKE_BUILD_PARALLEL_LEVEL
CMAKE_BUILD_PARALLEL_LEVEL=$(nproc)

quiet() {
  "$@" >"$work/log" 2>&1 || { echo "check_consumers: failed: $*" >&2; cat "$work/log" >&2; exit 1; }
}
prove() { # name program
  local recording=$work/$1.rrd version
  version=$("$2" "$recording")
  [ "$version" = "$expected_version" ] || { echo "check_consumers: $1 runs version $version" >&2; exit 1; }
  "$bin/rrd-dump" --format ndjson "$recording" | grep -q '"entity":"/consumer".*logged by a consumer' ||
    { echo "check_consumers: the row of $1 is not in its recording" >&2; exit 1; }
  echo "$1: builds, logs and is read"
}
expected_version=$(sed -nE 's/^project\(rrdkit VERSION ([0-9.]+).*/\1/p' "$RK_SOURCE_DIR/CMakeLists.txt")

for kind in static shared; do
  shared=OFF
  [ $kind = static ] || shared=ON
  quiet cmake -S "$RK_SOURCE_DIR" -B "$work/$kind" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=$shared -DRRDKIT_WERROR=OFF -DRRDKIT_BUILD_TESTS=OFF \
    -DRRDKIT_BUILD_EXAMPLES=OFF -DCMAKE_INSTALL_PREFIX="$work/first/$kind"
  quiet cmake --build "$work/$kind"
  quiet cmake --install "$work/$kind"
  mkdir -p "$work/moved"
  mv "$work/first/$kind" "$work/moved/$kind"
  prefix=$work/moved/$kind
  libdir=$(dirname "$(find "$prefix" -name 'librrdkit.*' | head -n 1)")
  for tool in rrd-dump rrd-merge rrd-check rrd-pack rrd-replay; do
    [ -x "$prefix/bin/$tool" ] || { echo "check_consumers: $tool is not installed" >&2; exit 1; }
    [ -e "$prefix/share/man/man1/$tool.1" ] || { echo "check_consumers: the manual of $tool is not installed" >&2; exit 1; }
    bash -c ". '$prefix/share/bash-completion/completions/$tool' && complete -p $tool" >/dev/null ||
      { echo "check_consumers: the completion of $tool does not load" >&2; exit 1; }
    [ "$("$prefix/bin/$tool" --version | grep -cF "$expected_version")" -ge 1 ] ||
      { echo "check_consumers: the installed $tool does not run" >&2; exit 1; }
  done

  quiet cmake -S "$consumers/find_package" -B "$work/find_$kind" -DCMAKE_PREFIX_PATH="$prefix"
  quiet cmake --build "$work/find_$kind"
  LD_LIBRARY_PATH=$libdir prove "find_package_$kind" "$work/find_$kind/consumer"

  export PKG_CONFIG_PATH=$libdir/pkgconfig
  # shellcheck disable=SC2046 # flags are words
  quiet gcc -std=c17 "$consumers/consumer.c" -o "$work/pkg_$kind" $(pkg-config --cflags --libs rrdkit)
  LD_LIBRARY_PATH=$libdir prove "pkg_config_$kind" "$work/pkg_$kind"
  if [ $kind = static ]; then
    # shellcheck disable=SC2046
    quiet gcc -std=c17 "$consumers/consumer.c" -o "$work/pkg_$kind" $(pkg-config --static --cflags --libs rrdkit)
    # The program in README, as it stands there, with the command that README gives.
    sed -n '/^```c$/,/^```$/{/^```/d;p}' "$RK_SOURCE_DIR/README.md" >"$work/main.c"
    # shellcheck disable=SC2046
    quiet gcc -Wall -Werror "$work/main.c" -o "$work/readme" $(pkg-config --cflags --libs rrdkit)
    quiet env -C "$work" ./readme
    [ "$("$bin/rrd-dump" "$work/run.rrd" | wc -l)" = 102 ] || { echo "check_consumers: the rows of README's program" >&2; exit 1; }
  fi
  unset PKG_CONFIG_PATH
done

quiet cmake -S "$consumers/add_subdirectory" -B "$work/sub"
quiet cmake --build "$work/sub"
prove add_subdirectory "$work/sub/consumer"
