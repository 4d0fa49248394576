# bash completion for rrd-dump and rrd-merge; the options are those that --help tells.

_rrd_tool()
{
  local tool=$1 current=$2 previous=$3 options
  case $previous in
  -f | --format)
    COMPREPLY=($(compgen -W "text ndjson csv" -- "$current"))
    return
    ;;
  --color)
    COMPREPLY=($(compgen -W "auto always never" -- "$current"))
    return
    ;;
  --compression)
    COMPREPLY=($(compgen -W "lz4 none" -- "$current"))
    return
    ;;
  -w | --writer)
    COMPREPLY=($(compgen -W "pid: tid: thread: program: host:" -- "$current"))
    compopt -o nospace
    return
    ;;
  -e | --entity | -s | --since | -u | --until | -t | --timeline | -n | --rows | --width | --recording-id | \
    --application-id | --chunk-rows | --chunk-size)
    return
    ;;
  esac
  if [[ $current == -* ]]; then
    options=$("$tool" --help 2>/dev/null | grep -oE '^ +(-[a-z], )?--[a-z-]+=?' | grep -oE -- '--[a-z-]+=?')
    COMPREPLY=($(compgen -W "$options" -- "$current"))
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
    return
  fi
  compopt -o filenames
  COMPREPLY=($(compgen -f -X '!*.@(rrd|rbl)' -- "$current") $(compgen -d -- "$current"))
}

_rrd_tools()
{
  local current previous words cword
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n = current previous 2>/dev/null || true
  fi
  current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  _rrd_tool "$1" "$current" "$previous"
}

complete -F _rrd_tools rrd-dump rrd-merge
