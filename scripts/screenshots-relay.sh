#!/usr/bin/env bash
# Takes the pictures of the relay's pages in docs/screenshots/ anew, with real hosts and a viewer at the relay.
#
# Needs Chromium and Python's playwright, which drives it, beside a release build and what `make screenshots` needs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/processes.sh
source scripts/processes.sh

programs=${TAGIO_PROGRAMS:-$PWD/target/release}
pictures=$PWD/docs/screenshots
token=picture-$RANDOM$RANDOM
hosts=3
# How long the relay runs before its plots are worth a look.
history=${HISTORY:-60}

need chromium python3
python3 -c 'import playwright' 2>/dev/null || fail "Python's playwright is missing: pip install playwright"

# gui DATA_DIR ARGUMENT…: for `start`, takes the shell's place and gets its signals.
gui() {
  local data_dir=$1
  shift
  exec "$programs/tagio-gui" "$@" --relay "$relay" --data-dir "$work/$data_dir"
}

printf 'admin-token = "%s"\n' "$token" >"$work/relay.toml"
start relay "$programs/tagio_relay_server" --config "$work/relay.toml" --bind 127.0.0.1:0 --metrics-bind off \
  --data-dir "$work/relay"
await relay listening 15
relay=${answer%% *}

new_display hosts 1280x800
export DISPLAY=$display
for ((index = 1; index <= hosts; index++)); do
  start "host$index" gui "host$index" server --password "$token"
  await "host$index" id
done
new_display viewers 1280x800
DISPLAY=$display start viewer gui viewer client "$answer" --password "$token"
await viewer first-frame
sleep "$history"

python3 - "$pictures" "http://$relay" "$token" <<'PYTHON'
import shutil, sys
from playwright.sync_api import sync_playwright

pictures, relay, token = sys.argv[1:]
SIZES = {"": {"width": 1280, "height": 900}, "-phone": {"width": 390, "height": 844}}

with sync_playwright() as play:
    browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    for kind, size in SIZES.items():
        for theme in ("light", "dark"):
            page = browser.new_context(viewport=size, color_scheme=theme).new_page()
            problems = []
            page.on("pageerror", lambda error: problems.append(error))
            page.goto(f"{relay}/")
            page.screenshot(path=f"{pictures}/relay-front{kind}-{theme}.png")
            page.goto(f"{relay}/admin")
            page.fill("input[name=token]", token)
            page.click("button")
            page.wait_for_selector("#state:has-text('live')")
            page.screenshot(path=f"{pictures}/relay-admin{kind}-{theme}.png", full_page=True)
            if problems:
                sys.exit(f"the page failed: {problems}")
            print(f"relay-front{kind}-{theme}.png relay-admin{kind}-{theme}.png")
PYTHON
