#!/bin/bash
# The bash completion offers what the tools' help tells, the values of options, and recordings.
set -u # not -e: a completion that finds nothing is no failure
bin=$1
PATH=$bin:$PATH
. "$RK_SOURCE_DIR/completions/bash/rrd-tools"
compopt() { :; } # only inside a real completion
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
cd "$directory" || exit 1
mkdir runs
touch "run one.rrd" layout.rbl notes.txt

expect() { # EXPECTED (one a line) WORD...
  local expected=$1
  shift
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _rrd_tools "$1"
  local got
  got=$(printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"})
  [ "$got" = "$expected" ] || { echo "check_cli_completion: '$*' gives '$got', not '$expected'" >&2; exit 1; }
}
expect --format= rrd-dump --form
expect $'--chunk-rows=\n--chunk-bytes=' rrd-merge --chunk
expect $'text\nndjson\ncsv' rrd-dump -F ''
expect ndjson rrd-dump --format = n
expect $'lz4\nnone\nzstd' rrd-merge --compression = ''
expect $'tid:\nthread:' rrd-dump -w t
expect '' rrd-dump -n ''
expect $'delta' rrd-dump --time = d
expect $'run one.rrd\nlayout.rbl\nruns' rrd-dump ''
expect $'run one.rrd\nruns' rrd-merge -o x run
expect $'tar.zst\ntar.gz\ntar' rrd-pack --format = tar
expect $'--level=' rrd-pack --lev
touch old.tar.zst
expect old.tar.zst rrd-merge -o x ol
expect notes.txt rrd-pack -o x no
for tool in rrd-dump rrd-merge rrd-check rrd-pack rrd-replay; do
  for option in $("$tool" --help | grep -oE '^(  -[a-zA-Z0-9], |      )--[a-z-]+=?' | grep -oE -- '--.*'); do
    COMP_WORDS=("$tool" "$option") COMP_CWORD=1 COMPREPLY=()
    _rrd_tools "$tool"
    case " ${COMPREPLY[*]} " in *" $option "*) ;; *) echo "check_cli_completion: $tool $option is not offered" >&2; exit 1 ;; esac
  done
done
echo "completions are right"
