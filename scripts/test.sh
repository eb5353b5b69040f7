#!/usr/bin/env bash
# All that CI runs, in the same order: `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
  echo
  echo "==== $*"
  "$@"
}

step scripts/setup.sh
step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings

if pkg-config --exists xcb xcb-shm xcb-randr; then
  step cargo check -p tagio-gui --features scrap-capture --locked
else
  echo "SKIPPED the optional capture backend: run scripts/setup.sh scrap" >&2
fi

step cargo build --workspace --locked

# Before the tests: with the Windows programs in place they are tried in Wine.
if command -v x86_64-w64-mingw32-gcc >/dev/null && [ -x scripts/windows.sh ]; then
  step env TAGIO_PROFILE=dev scripts/windows.sh
else
  echo "SKIPPED the Windows programs: run scripts/setup.sh windows" >&2
fi

# Every failure at once: a run takes long.
step cargo test --workspace --locked --no-fail-fast
