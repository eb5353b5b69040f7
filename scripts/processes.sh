# Sourced by the scripts beside it: processes that end with the script, and waits that have a limit.
# shellcheck shell=bash

# The functions leave their results in these.
# shellcheck disable=SC2034
last="" answer="" display="" relay=""
work=$(mktemp -d)
started=()

fail() {
  echo "${0##*/}: $*" >&2
  local log
  for log in "$work"/*.err; do
    [ -s "$log" ] && { echo "---- the end of $(basename "$log" .err):"; tail -n 12 "$log"; } >&2
  done
  exit 1
}

end_all() {
  trap - EXIT
  local index pid
  # The last one started depends on the ones before.
  for ((index = ${#started[@]} - 1; index >= 0; index--)); do
    kill "${started[index]}" 2>/dev/null || true
  done
  for pid in "${started[@]}"; do
    stop "$pid"
  done
  rm -rf "$work"
}
trap end_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

is_gone() {
  ! kill -0 "$1" 2>/dev/null
}

# start NAME COMMAND…: in the background, its output in $work/NAME.out and .err, its process in $last
start() {
  local name=$1
  shift
  # Here, not in the child: nobody shall take the words of an earlier process of this name for its own.
  : >"$work/$name.out"
  "$@" >"$work/$name.out" 2>"$work/$name.err" &
  last=$!
  started+=("$last")
}

# stop PROCESS: waits until it is gone, and insists when asking does not help
stop() {
  kill "$1" 2>/dev/null || true
  poll 3 is_gone "$1" || kill -9 "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# poll SECONDS COMMAND…: until it succeeds
poll() {
  local rounds=$(($1 * 20))
  shift
  while ! "$@"; do
    ((rounds-- > 0)) || return 1
    sleep 0.05
  done
}

# wait_for SECONDS WHAT COMMAND…: until it succeeds, or the script fails with WHAT
wait_for() {
  local limit=$1 what=$2
  shift 2
  poll "$limit" "$@" >/dev/null 2>&1 || fail "waited $limit seconds in vain for $what"
}

# said NAME WORD: the rest of the first stdout line of NAME whose first word it is
said() {
  awk -v word="$2" '$1 == word { sub(/^[^ ]+ ?/, ""); print; found = 1; exit } END { exit !found }' "$work/$1.out"
}

# await NAME WORD [SECONDS]: waits until it is said, and puts it into $answer
await() {
  wait_for "${3:-30}" "'$2' from $1" said "$1" "$2"
  answer=$(said "$1" "$2")
}

# need PROGRAM…: fails where one is not installed
need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || fail "$program is missing: run scripts/setup.sh"
  done
}

# new_display NAME WIDTHxHEIGHT: an X server with a window manager; its name in $display
new_display() {
  need Xvfb openbox xprop xdotool
  start "$1" Xvfb -displayfd 1 -nolisten tcp -noreset -screen 0 "$2x24"
  wait_for 10 "the display $1" grep -q . "$work/$1.out"
  display=:$(head -n 1 "$work/$1.out")
  # Nobody's own settings: what a script shows is the same everywhere.
  DISPLAY=$display XDG_CONFIG_HOME=$work start "$1-manager" openbox
  wait_for 10 "the window manager of $1" has_manager "$display"
}

has_manager() {
  xprop -display "$1" -root _NET_SUPPORTING_WM_CHECK | grep -q 'window id'
}

# find_window DISPLAY TITLE: visible, the id on stdout
find_window() {
  DISPLAY=$1 xdotool search --onlyvisible --name "$2" | head -n 1 | grep .
}

# start_relay PROGRAMS [ADDRESS [PREFIX…]]: on loopback or at this address, any free port; its own address in $relay.
# The prefix is a command that runs it, such as `ip netns exec …`.
start_relay() {
  local programs=$1 ip=${2:-127.0.0.1}
  shift $(($# < 2 ? $# : 2))
  start relay "$@" "$programs/tagio_relay_server" --bind "$ip:0" --public-ip "$ip" --metrics-bind off \
    --data-dir "$work/relay"
  await relay listening 15
  relay=${answer%% *}
}
