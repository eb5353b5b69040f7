#!/usr/bin/env bash
# Which pairs of NATs meet directly, and how soon: as a Markdown table, from real programs in a laboratory. For root.
#
#   scripts/nat-matrix.sh
#   TRIALS=10 PAIRS="port:sym linux:symseq" LIMIT=15 JOBS=2 scripts/nat-matrix.sh
#
# A cell is `9/10 612 · 305`: direct in nine of ten trials, the median of the milliseconds from the viewer's start until
# then, and until the first picture. tagio-gui/tests/nat_matrix.rs says what the settings are.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || {
  echo "nat-matrix: network namespaces are for root" >&2
  exit 1
}
cargo build --release --quiet --locked -p tagio-gui -p tagio_relay_server
# A machine that lacks something shall say so, not print an empty table.
TAGIO_NO_SKIP=1 exec cargo test --release --quiet --locked -p tagio-gui --test nat_matrix -- --ignored --nocapture
