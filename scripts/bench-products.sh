# Sourced by bench.sh: how each product is started. Sets $server and $viewer to processes and $host_display.
# shellcheck shell=bash disable=SC2034,SC2154

is_installed() {
  case $1 in
    tagio) true ;;
    x0vncserver) vnc_server >/dev/null && command -v vncviewer >/dev/null ;;
    xvnc) command -v Xtigervnc >/dev/null && command -v vncviewer >/dev/null ;;
    *) fail "no product called '$1'" ;;
  esac
}

start_tagio() {
  rm -rf "$work/relay" "$work/h" "$work/v"
  host_display=$plain_display
  start_relay "$programs" "$relay_address" "${on_relay[@]}"
  session+=("$last")
  DISPLAY=$host_display part host "${on_host[@]}" "$programs/tagio-gui" server \
    --relay "$relay" --data-dir "$work/h" --password "$password"
  server=$last
  await host id
  local flags
  read -ra flags <<<"${CLIENT_FLAGS:-}"
  DISPLAY=$viewer_display LIBGL_ALWAYS_SOFTWARE=1 part viewer "${on_viewer[@]}" "$programs/tagio-gui" client \
    "$answer" --relay "$relay" --data-dir "$work/v" --password "$password" --fullscreen "${flags[@]}"
  viewer=$last
  await viewer first-frame 60
}

# Debian's x0vncserver is a script that leaves before its server does.
vnc_server() {
  command -v X0tigervnc || command -v x0vncserver
}

# TigerVNC's server of a display that is there.
start_x0vncserver() {
  host_display=$plain_display
  local port=$((20000 + RANDOM % 10000))
  part vnc-server "${on_host[@]}" "$(vnc_server)" -display "$host_display" -rfbport "$port" -SecurityTypes None \
    -localhost="$vnc_localhost"
  server=$last
  start_vncviewer "$port"
}

# TigerVNC's own X server: it knows what is drawn, and its processor time includes the drawing.
start_xvnc() {
  local port=$((20000 + RANDOM % 10000))
  part xvnc "${on_host[@]}" Xtigervnc -displayfd 1 -geometry "$size" -depth 24 -rfbport "$port" \
    -SecurityTypes None -localhost="$vnc_localhost"
  server=$last
  wait_for 10 "the display of Xvnc" grep -q . "$work/xvnc.out"
  host_display=:$(head -n 1 "$work/xvnc.out")
  start_vncviewer "$port"
}

# start_vncviewer PORT
start_vncviewer() {
  wait_for 10 "a VNC server" listens "$1"
  DISPLAY=$viewer_display part vnc-viewer "${on_viewer[@]}" vncviewer -FullScreen -AlertOnFatalError=0 \
    -SecurityTypes None "$host_address::$1"
  viewer=$last
  wait_for 20 "vncviewer" find_window "$viewer_display" .
  # It says nothing when the first picture is there.
  sleep 2
}

listens() {
  "${on_host[@]}" ss -Hltn "sport = :$1" | grep -q .
}
