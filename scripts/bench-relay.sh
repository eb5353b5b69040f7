#!/usr/bin/env bash
# Bytes through the relay's legs beside the simplest forwarders, and the time that it adds; loopback, two cores.
#
#   scripts/bench-relay.sh
#   REALTIME=1 scripts/bench-relay.sh     # as root: whatever else the machine does waits for a minute
#
# Needs socat; see tagio_relay_server/benches/legs for what is measured.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v socat >/dev/null || {
  echo "bench-relay: socat is missing; please type: apt-get install socat" >&2
  exit 1
}
first=()
[ -z "${REALTIME:-}" ] || first=(chrt --rr 1)
# Built first, and not in real time.
cargo bench --quiet --locked -p tagio_relay_server --bench legs --no-run
"${first[@]}" cargo bench --quiet --locked -p tagio_relay_server --bench legs
