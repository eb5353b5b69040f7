#!/usr/bin/env bash
# Shows TagIO at work on this machine: `make demo`.
#
# Without a display: relay, host and viewer on displays made for it, a letter typed through the viewer into a
# remote editor, and demo.png to look at. With a display: the two windows, until one is closed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/processes.sh
source scripts/processes.sh

programs=$PWD/target/release
password=demo-$RANDOM$RANDOM
letter="Typed in the viewer, written by the host."

build() {
  cargo build --release --locked -p tagio-gui -p tagio_relay_server
}

# For `start`: in the background, where the program takes the shell's place and gets its signals.
gui() {
  local data_dir=$1
  shift
  exec "$programs/tagio-gui" "$@" --relay "$relay" --data-dir "$work/$data_dir"
}

# The viewer's window and the remote screen, pixel by pixel. A blinking text cursor and the pointer may differ.
shows_remote_desktop() {
  local differing
  import -display "$host_display" -window root "$work/host.png"
  import -display "$viewer_display" -window "$window" "$work/viewer.png"
  differing=$(compare -metric AE "$work/host.png" "$work/viewer.png" null: 2>&1) || true
  [[ $differing =~ ^[0-9]+$ ]] && [ "$differing" -lt 1500 ]
}

has_letter() {
  [ "$(cat "$work/letter.txt")" = "$letter" ]
}

show_remote_desktop() {
  new_display host 1280x800
  host_display=$display
  # A background only; ImageMagick reports failure also when it has drawn it.
  display -display "$host_display" -size 1280x800 -window root 'gradient:#4f7ea8-#1d3557' || true
  DISPLAY=$host_display start terminal xterm -title terminal -fa 'DejaVu Sans Mono' -fs 11 \
    -geometry 62x14+40+40 -e sh -c 'echo "This is the remote computer."; uname -sr; exec sh'
  wait_for 15 "the remote terminal" find_window "$host_display" terminal
  : >"$work/letter.txt"
  DISPLAY=$host_display start editor mousepad --disable-server "$work/letter.txt"
  wait_for 20 "the remote editor" find_window "$host_display" letter.txt
}

show_viewer() {
  new_display viewer 1440x940
  viewer_display=$display
  DISPLAY=$viewer_display LIBGL_ALWAYS_SOFTWARE=1 start viewer gui viewer client "$id" --password "$password"
  await viewer first-frame 30
  echo "first picture after $answer ms"
  window=$(find_window "$viewer_display" TagIO) || fail "the viewer has no window called TagIO"
}

# Keys on the viewer's display only: they reach the editor through TagIO or not at all.
write_letter() {
  export DISPLAY=$viewer_display
  xdotool windowactivate --sync "$window"
  xdotool type --delay 25 "$letter"
  xdotool key ctrl+s
  wait_for 15 "the letter in the remote file (it holds: $(cat "$work/letter.txt"))" has_letter
}

run_without_display() {
  need import compare mousepad xterm
  show_remote_desktop
  start_relay "$programs"
  DISPLAY=$host_display start host gui host server --password "$password"
  await host id
  id=$answer
  echo "the host has ID $id"
  show_viewer
  write_letter
  wait_for 15 "the same picture in the viewer as on the remote screen" shows_remote_desktop
  import -display "$viewer_display" -window root demo.png
  echo "the letter arrived; the viewer's screen is in demo.png"
}

# The ID belongs to the folder for good, so a short run without a window learns the ID of the window to come.
learn_id() {
  start host gui host server
  await host id
  id=$answer
  stop "$last"
}

run_with_display() {
  start_relay "$programs"
  learn_id
  start home gui host
  local home=$last
  start viewer gui viewer client "$id"
  local viewer=$last
  echo "one window shares this screen as $id, the other is about to show it: type the one-time code there"
  echo "close a window, or press Ctrl-C, to end the demo"
  wait -n "$home" "$viewer" || fail "a window ended with an error"
}

build
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  run_with_display
else
  run_without_display
fi
