#!/usr/bin/env bash
# Compares TagIO with TigerVNC, where that is installed, on the scenes of deskbench: `make bench`.
#
# deskbench is a project of its own: it draws known scenes on a host's display and reads their frame numbers off a
# viewer's. Rounds are interleaved, because a figure holds for one machine and one moment; medians are printed.
#
#   DESKBENCH_SRC=~/deskbench scripts/bench.sh
#   ROUNDS=5 SCENES="typing beacon" FPS="30 60" SECONDS_EACH=12 DESKBENCH_SRC=… scripts/bench.sh
#   WARM_UP=6 LINK="delay=20 loss=1 rate=20000 queue=60" NATLAB=~/natlab/natlab SCENES=click+video DESKBENCH_SRC=… scripts/bench.sh
#
# Scenes: those of deskbench (typing scroll drag video photo mix beacon), and two at once: click+video is the time from
# click to photon while a film plays, typing+scroll that of letters while a page scrolls. With WARM_UP seconds for the first picture.
# PRODUCTS: tagio, x0vncserver, xvnc. TAGIO_BIN: a folder with built programs; CLIENT_FLAGS: more flags for the viewer.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/processes.sh
source scripts/processes.sh
# shellcheck source=scripts/bench-link.sh
source scripts/bench-link.sh
# shellcheck source=scripts/bench-products.sh
source scripts/bench-products.sh
# shellcheck source=scripts/bench-scenes.sh
source scripts/bench-scenes.sh
# shellcheck source=scripts/bench-table.sh
source scripts/bench-table.sh

rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-12}
read -ra rates <<<"${FPS:-30}"
read -ra scenes <<<"${SCENES:-typing scroll drag video mix beacon}"
read -ra products <<<"${PRODUCTS:-tagio x0vncserver xvnc}"

size=1920x1080
programs=${TAGIO_BIN:-$PWD/target/release}
password=bench-$RANDOM$RANDOM
results=$work/results
session=()

build() {
  [ -f "${DESKBENCH_SRC:-}/Cargo.toml" ] ||
    fail "set DESKBENCH_SRC to a checkout of deskbench (the folder with its Cargo.toml)"
  local target=${DESKBENCH_TARGET:-$PWD/target/deskbench}
  cargo build --release --quiet --manifest-path "$DESKBENCH_SRC/Cargo.toml" --target-dir "$target"
  # What bench-scenes.sh runs.
  # shellcheck disable=SC2034
  deskbench=$target/release/deskbench
  motion=$(cargo bench --quiet --locked -p tagio-testkit --bench motion --no-run --message-format=json |
    sed -n 's/.*"name":"motion".*"executable":"\([^"]*\)".*/\1/p')
  [ -n "${TAGIO_BIN:-}" ] || cargo build --release --quiet --locked -p tagio-gui -p tagio_relay_server
}

# Processor time of a process in seconds.
cpu() {
  awk -v tick="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / tick }' "/proc/$1/stat"
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

# number JSON KEY…: the first number behind the keys, one after the other
number() {
  local rest=$1 key
  shift
  for key in "$@"; do
    rest=${rest#*\""$key"\":}
  done
  printf '%s' "${rest%%[,\}]*}"
}

# note FIGURE VALUE: of $row, which is a scene and a product
note() {
  echo "$row $1 $2" >>"$results"
}

need xdotool xwininfo
build
trap 'take_down_link; end_all' EXIT
set_up_link
new_display host $size
plain_display=$display
new_display viewer $size
viewer_display=$display
for ((round = 1; round <= rounds; round++)); do
  for fps in "${rates[@]}"; do
    for scene in "${scenes[@]}"; do
      for product in "${products[@]}"; do
        if is_installed "$product"; then
          echo "round $round of $rounds: $scene at $fps by $product" >&2
          measure "$product" "$scene"
        fi
      done
    done
  done
done
print_tables "$results"
