#!/usr/bin/env bash
# Compares TagIO with TigerVNC, where that is installed, on the scenes of deskbench: `make bench`.
#
# deskbench is a project of its own: it draws known scenes on a host's display and reads their frame numbers off a
# viewer's. Rounds are interleaved, because a figure holds for one machine and one moment; medians are printed.
#
#   DESKBENCH_SRC=~/deskbench scripts/bench.sh
#   ROUNDS=5 SCENES="typing beacon" FPS=30 SECONDS_EACH=12 DESKBENCH_SRC=… scripts/bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/processes.sh
source scripts/processes.sh

rounds=${ROUNDS:-3}
fps=${FPS:-30}
seconds=${SECONDS_EACH:-12}
read -ra scenes <<<"${SCENES:-typing scroll drag video mix beacon}"
read -ra products <<<"${PRODUCTS:-tagio tigervnc}"

size=1920x1080
programs=$PWD/target/release
password=bench-$RANDOM$RANDOM
results=$work/results
session=()

build() {
  [ -f "${DESKBENCH_SRC:-}/Cargo.toml" ] ||
    fail "set DESKBENCH_SRC to a checkout of deskbench (the folder with its Cargo.toml)"
  local target=$PWD/target/deskbench
  cargo build --release --quiet --manifest-path "$DESKBENCH_SRC/Cargo.toml" --target-dir "$target"
  deskbench=$target/release/deskbench
  cargo build --release --quiet --locked -p tagio-gui -p tagio_relay_server
}

# Processor time of a process in seconds.
cpu() {
  awk -v tick="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / tick }' "/proc/$1/stat"
}

loopback_bytes() {
  awk '$1 == "lo:" { print $2 }' /proc/net/dev
}

# Starts a part of a session: like `start`, and remembered to be stopped with the session.
part() {
  start "$@"
  session+=("$last")
}

end_session() {
  local index
  for ((index = ${#session[@]} - 1; index >= 0; index--)); do
    stop "${session[index]}"
  done
  session=()
}

start_tagio() {
  rm -rf "$work/relay" "$work/h" "$work/v"
  start_relay "$programs"
  session+=("$last")
  DISPLAY=$host_display part host "$programs/tagio-gui" server \
    --relay "$relay" --data-dir "$work/h" --password "$password"
  server=$last
  await host id
  DISPLAY=$viewer_display LIBGL_ALWAYS_SOFTWARE=1 part viewer "$programs/tagio-gui" client "$answer" \
    --relay "$relay" --data-dir "$work/v" --password "$password" --fullscreen
  viewer=$last
  await viewer first-frame
}

listens() {
  ss -Hltn "sport = :$1" | grep -q .
}

# Debian's x0vncserver is a script that leaves before its server does.
vnc_server() {
  command -v X0tigervnc || command -v x0vncserver
}

start_tigervnc() {
  local port=$((20000 + RANDOM % 10000))
  part vnc-server "$(vnc_server)" -display "$host_display" -rfbport "$port" -SecurityTypes None -localhost
  server=$last
  wait_for 10 "x0vncserver" listens "$port"
  DISPLAY=$viewer_display part vnc-viewer vncviewer -FullScreen -AlertOnFatalError=0 -SecurityTypes None \
    "localhost::$port"
  viewer=$last
  wait_for 10 "vncviewer" find_window "$viewer_display" .
  # It says nothing when the first picture is there.
  sleep 2
}

is_installed() {
  case $1 in
    tagio) true ;;
    tigervnc) vnc_server >/dev/null && command -v vncviewer >/dev/null ;;
    *) fail "no product called '$1'" ;;
  esac
}

# number JSON KEY…: the first number behind the keys, one after the other
number() {
  local rest=$1 key
  shift
  for key in "$@"; do
    rest=${rest#*\""$key"\":}
  done
  printf '%s' "${rest%%[,\}]*}"
}

note() {
  echo "$1 $2 $3 $4" >>"$results"
}

# measure PRODUCT SCENE: one round
measure() {
  local product=$1 scene=$2 json before_server before_viewer before_bytes
  "start_$product"
  part scene "$deskbench" scene --display "$host_display" --kind "$scene" --fps "$fps" --secs "$seconds" \
    --log "$work/frames"
  sleep 2
  before_server=$(cpu "$server") before_viewer=$(cpu "$viewer") before_bytes=$(loopback_bytes)
  if [ "$scene" = beacon ]; then
    json=$("$deskbench" click --host "$host_display" --viewer "$viewer_display" --n 30)
  else
    json=$("$deskbench" watch --viewer "$viewer_display" --secs $((seconds - 3)) --log "$work/frames")
    note "$product" "$scene" fps "$(number "$json" fps_seen)"
  fi
  is_gone "$server" && fail "the server of $product ended during $scene"
  is_gone "$viewer" && fail "the viewer of $product ended during $scene"
  note "$product" "$scene" p50_ms "$(number "$json" latency_ms p50)"
  note "$product" "$scene" p95_ms "$(number "$json" latency_ms p95)"
  note "$product" "$scene" server_cpu_s "$(awk "BEGIN { print $(cpu "$server") - $before_server }")"
  note "$product" "$scene" viewer_cpu_s "$(awk "BEGIN { print $(cpu "$viewer") - $before_viewer }")"
  note "$product" "$scene" megabytes "$(awk "BEGIN { print ($(loopback_bytes) - $before_bytes) / 1e6 }")"
  if [ "$scene" != beacon ]; then
    sleep 3
    json=$("$deskbench" compare --host "$host_display" --viewer "$viewer_display")
    note "$product" "$scene" exact "$(number "$json" exact)"
  fi
  end_session
}

# A row a scene and product, a column a figure, each the median of the rounds.
print_table() {
  sort -k1,3 -k4,4n "$results" | awk '
    function close_group() {
      if (count) median[row SUBSEP figure] = (values[int((count + 1) / 2)] + values[int(count / 2) + 1]) / 2
      count = 0
    }
    {
      if ($2 " " $1 != row || $3 != figure) close_group()
      row = $2 " " $1; figure = $3; values[++count] = $4; rows[row] = 1
    }
    END {
      close_group()
      n = split("fps p50_ms p95_ms server_cpu_s viewer_cpu_s megabytes exact", columns, " ")
      printf "%-10s %-9s", "scene", "product"
      for (i = 1; i <= n; i++) printf " %12s", columns[i]
      print ""
      for (row in rows) {
        split(row, names, " ")
        line = sprintf("%-10s %-9s", names[1], names[2])
        for (i = 1; i <= n; i++) {
          key = row SUBSEP columns[i]
          line = line (key in median ? sprintf(" %12.2f", median[key]) : sprintf(" %12s", "-"))
        }
        print line | "sort"
      }
    }'
}

build
new_display host $size
host_display=$display
new_display viewer $size
viewer_display=$display
for ((round = 1; round <= rounds; round++)); do
  for scene in "${scenes[@]}"; do
    for product in "${products[@]}"; do
      if is_installed "$product"; then
        echo "round $round of $rounds: $scene by $product" >&2
        measure "$product" "$scene"
      fi
    done
  done
done
print_table
