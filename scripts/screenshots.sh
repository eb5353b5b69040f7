#!/usr/bin/env bash
# Takes the pictures in docs/screenshots/ anew, from the real programs: `make screenshots`.
#
# Each window is moved by its mouse and keyboard, on displays made for it, once in light and once in dark.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/processes.sh
source scripts/processes.sh

programs=$PWD/target/release
pictures=$PWD/docs/screenshots
password=picture-$RANDOM$RANDOM
nobody=127.0.0.1:9

# Where to click in the main window of 900x620.
gear=(857 35)
back=(156 38)
copy_code=(355 322)

# For `start`: in the background, where the program takes the shell's place and gets its signals.
gui() {
  local data_dir=$1
  shift
  exec "$programs/tagio-gui" "$@" --data-dir "$work/$data_dir"
}

# write_settings DATA_DIR THEME NAME RELAY
write_settings() {
  mkdir -p "$work/$1"
  printf '{"theme": "%s", "name": "%s", "relay": "%s"}\n' "$2" "$3" "$4" >"$work/$1/settings.json"
}

# Two looks at a window are the same: it has finished moving. A clock on it may go on, a few pixels wide.
is_still() {
  import -window "$1" "$work/first.png"
  sleep 0.4
  import -window "$1" "$work/second.png"
  local differing
  differing=$(compare -metric AE "$work/first.png" "$work/second.png" null: 2>&1) || true
  [[ $differing =~ ^[0-9]+$ ]] && [ "$differing" -lt 400 ]
}

# take NAME WINDOW
take() {
  sleep 0.8
  wait_for 20 "a still window for $1" is_still "$2"
  import -window "$2" "$pictures/$1-$theme.png"
  echo "$1-$theme.png"
}

# Puts the window with this title into $window.
take_hold() {
  wait_for 20 "a window called '$1'" find_window "$DISPLAY" "$1"
  window=$(find_window "$DISPLAY" "$1")
  xdotool windowactivate --sync "$window"
}

click() {
  xdotool mousemove --window "$1" "$2" "$3" click 1
}

# The pointer out of the way, so that nothing looks touched.
rest_pointer() {
  xdotool mousemove 1439 939
}

is_online() {
  (gui asker status "$1" --relay "$relay") | grep -q '^online'
}

# The ID of a folder, which belongs to it for good.
learn_id() {
  start learn gui "$1" server --relay "$relay"
  await learn id
  id=$answer
  stop "$last"
}

take_home_and_settings() {
  write_settings home "$theme" "Anna’s laptop" "$relay"
  learn_id home
  home_id=$id
  start home gui home
  home=$last
  take_hold '^TagIO$'
  home_window=$window
  wait_for 20 "the host online" is_online "$home_id"
  rest_pointer
  take home "$home_window"
  click "$home_window" "${gear[@]}"
  rest_pointer
  take settings "$home_window"
  click "$home_window" "${back[@]}"
}

# The code goes by the clipboard from one window to the other, as people do it.
take_question() {
  write_settings caller "$theme" "Ben’s computer" "$relay"
  click "$home_window" "${copy_code[@]}"
  sleep 0.3
  start caller gui caller client "$home_id"
  local caller=$last
  take_hold "${home_id:0:3} ${home_id:3:3}"
  xdotool key ctrl+v
  xdotool key Return
  sleep 1
  xdotool windowactivate --sync "$home_window"
  rest_pointer
  take question "$home_window"
  stop "$caller"
  stop "$home"
}

take_session_and_its_end() {
  write_settings viewer "$theme" "Ben’s computer" "$relay"
  write_settings remote "$theme" "workshop" "$relay"
  DISPLAY=$host_display start remote gui remote server --password "$password"
  local remote=$last
  await remote id
  start viewer gui viewer client "$answer" --password "$password"
  local viewer=$last
  await viewer first-frame
  take_hold 'workshop'
  # The toolbar stays while the pointer is near.
  xdotool mousemove --window "$window" 640 20
  take session "$window"
  # The figures, and the first menu by the keyboard.
  xdotool key ctrl+alt+s key ctrl+alt+Home
  sleep 0.5
  xdotool key Return
  take picture "$window"
  xdotool key Escape key Escape key ctrl+alt+s
  rest_pointer
  stop "$remote"
  await viewer closed
  take ended "$window"
  stop "$viewer"
}

take_no_relay() {
  write_settings lonely "$theme" "Anna’s laptop" "$nobody"
  start lonely gui lonely
  local lonely=$last
  take_hold '^TagIO$'
  rest_pointer
  take no-relay "$window"
  stop "$lonely"
}

show_remote_desktop() {
  new_display host 1200x740
  host_display=$display
  # A background only; ImageMagick reports failure also when it has drawn it.
  display -display "$host_display" -size 1200x740 -window root 'gradient:#4f7ea8-#1d3557' || true
  DISPLAY=$host_display start terminal xterm -title workshop -fa 'DejaVu Sans Mono' -fs 11 -geometry 84x24+60+70 \
    -e sh -c 'ls --color -l /usr/share; exec sh'
  wait_for 15 "the remote terminal" find_window "$host_display" workshop
}

need import compare
cargo build --release --locked -p tagio-gui -p tagio_relay_server
mkdir -p "$pictures"
show_remote_desktop
new_display viewer 1440x940
export DISPLAY=$display LIBGL_ALWAYS_SOFTWARE=1
start_relay "$programs"
for theme in light dark; do
  rm -rf "${work:?}"/{home,caller,viewer,remote,lonely}
  take_home_and_settings
  take_question
  take_session_and_its_end
  take_no_relay
done
