#!/usr/bin/env bash
# Takes the pictures in docs/screenshots/ anew, from the real programs: `make screenshots`.
#
# Each window is moved by its mouse and keyboard, on displays made for it, once in light and once in dark.
# With TAGIO_PROGRAMS=FOLDER nothing is built; PICTURES=FOLDER leaves the pictures elsewhere, and
# SCALE=200 takes them of windows of twice the size.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/processes.sh
source scripts/processes.sh

programs=${TAGIO_PROGRAMS:-$PWD/target/release}
pictures=${PICTURES:-$PWD/docs/screenshots}
scale=${SCALE:-100}
password=picture-$RANDOM$RANDOM
nobody=127.0.0.1:9

# Where to click in the main window of 900x620.
gear=(857 35)
back=(156 38)
copy_code=(355 322)
tunnels=(775 35)
tunnels_back=(106 38)

# For `start`: in the background, where the program takes the shell's place and gets its signals.
gui() {
  local data_dir=$1
  shift
  exec "$programs/tagio-gui" "$@" --data-dir "$work/$data_dir"
}

# write_settings DATA_DIR THEME NAME RELAY
write_settings() {
  mkdir -p "$work/$1"
  printf '{"theme": "%s", "name": "%s", "relay": "%s", "scale_percent": %s}\n' "$2" "$3" "$4" "$scale" >"$work/$1/settings.json"
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

# Whether a window looks quite different from a picture that was taken before: a question lies over it.
is_covered() { # WINDOW NAME
  import -window "$1" "$work/now.png"
  local differing
  differing=$(compare -metric AE -fuzz 5% "$work/now.png" "$pictures/$2-$theme.png" null: 2>&1) || true
  [[ $differing =~ ^[0-9]+$ ]] && [ "$differing" -gt 50000 ]
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
  xdotool mousemove --window "$1" "$(($2 * scale / 100))" "$(($3 * scale / 100))" click 1
}

# The pointer out of the way, so that nothing looks touched.
rest_pointer() {
  xdotool mousemove $((width - 1)) $((height - 1))
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
  write_tunnels home
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

# Two tunnels in a folder: one that is open, and one that the relay refuses.
write_tunnels() {
  cat >"$work/$1/tunnels.json" <<JSON
[
  {"name": "Web shop", "local_host": "127.0.0.1", "local_port": $web_port, "server": "$tunnel_control",
   "token": "$password", "hostname": "", "starts_itself": true},
  {"name": "Test database", "local_host": "127.0.0.1", "local_port": 5432, "server": "$tunnel_control",
   "token": "another", "hostname": "", "starts_itself": true}
]
JSON
}

visit() {
  curl -sfm 5 "http://$tunnel_ingress/$1" >/dev/null
}

take_tunnels() {
  wait_for 20 "a tunnel" visit index.html
  local page
  for page in style.css basket.html missing.html index.html; do
    visit "$page" || true
  done
  click "$home_window" "${tunnels[@]}"
  rest_pointer
  take tunnels "$home_window"
  click "$home_window" "${tunnels_back[@]}"
}

# Somebody with the code asks for a port; the answer is yes, and the banner says so.
take_port_question() {
  click "$home_window" "${copy_code[@]}"
  sleep 0.3
  local asks="'$programs/tagio-gui' forward $home_id 0:localhost:$web_port --password-stdin"
  start asker-terminal xterm -title asker -xrm 'XTerm*selectToClipboard: true' -geometry 60x6+0+820 \
    -e sh -c "TAGIO_RELAY=$relay TAGIO_DATA_DIR=$work/caller $asks"
  local terminal=$last
  take_hold '^asker$'
  sleep 0.5
  xdotool key shift+Insert key Return
  sleep 0.5
  xdotool windowactivate --sync "$home_window"
  rest_pointer
  wait_for 20 "the question for a port" is_covered "$home_window" home
  take port-question "$home_window"
  stop "$terminal"
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
  sleep 0.5
  xdotool windowactivate --sync "$home_window"
  rest_pointer
  wait_for 20 "the question" is_covered "$home_window" home
  take question "$home_window"
  xdotool key --window "$home_window" Escape
  stop "$caller"
}

take_session_and_its_end() {
  write_settings viewer "$theme" "Ben’s computer" "$relay"
  write_settings remote "$theme" "workshop" "$relay"
  DISPLAY=$host_display start remote gui remote server --password "$password" --ports own
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
  take_ports
  rest_pointer
  stop "$remote"
  await viewer closed
  take ended "$window"
  stop "$viewer"
}

# By the keyboard: from the toolbar's first button to that of the ports, into its fields, and out again.
take_ports() {
  xdotool mousemove --window "$window" 640 20
  sleep 0.5
  xdotool key ctrl+alt+Home
  sleep 0.3
  xdotool key Tab key Return
  sleep 0.5
  xdotool key Tab type "$web_port"
  xdotool key Return
  sleep 1
  take ports "$window"
  xdotool key Escape key Escape
}

# A page to show: `python3 -m http.server` in a folder of its own.
start_web() {
  mkdir -p "$work/web"
  printf 'Welcome' | tee "$work/web/index.html" "$work/web/style.css" >"$work/web/basket.html"
  start web python3 -u -m http.server --bind 127.0.0.1 --directory "$work/web" 0
  wait_for 15 "a web server" grep -q port "$work/web.out"
  web_port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/web.out")
}

start_tunnel_relay() {
  start tunnel-relay "$programs/tagio_relay_server" --bind 127.0.0.1:0 --public-ip 127.0.0.1 --metrics-bind off \
    --data-dir "$work/tunnel-relay" --tunnel-control 127.0.0.1:0 --tunnel-ingress 127.0.0.1:0 \
    --tunnel-token "$password"
  await tunnel-relay tunnels 15
  tunnel_control=${answer%% *}
  tunnel_ingress=${answer##* }
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

need import compare curl python3
[ -n "${TAGIO_PROGRAMS:-}" ] || cargo build --release --locked -p tagio-gui -p tagio_relay_server
mkdir -p "$pictures"
show_remote_desktop
width=$((1440 * scale / 100)) height=$((940 * scale / 100))
new_display viewer "${width}x$height"
export DISPLAY=$display LIBGL_ALWAYS_SOFTWARE=1
start_relay "$programs"
start_web
start_tunnel_relay
for theme in light dark; do
  rm -rf "${work:?}"/{home,caller,viewer,remote,lonely}
  take_home_and_settings
  take_tunnels
  take_question
  take_port_question
  stop "$home"
  take_session_and_its_end
  take_no_relay
done
