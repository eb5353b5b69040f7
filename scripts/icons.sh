#!/usr/bin/env bash
# Makes the pictures of assets/icon.svg anew: icon-256.png for windows on Linux, icon.ico for Windows.
# Needs: apt-get install --no-install-recommends librsvg2-bin icoutils
set -euo pipefail
cd "$(dirname "$0")/../assets"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pictures=()
# What Explorer, the task bar and Alt-Tab show at scalings from 100 % to 250 %.
for side in 16 20 24 32 40 48 64; do
  rsvg-convert --width "$side" --height "$side" --output "$work/$side.png" icon.svg
  pictures+=("$work/$side.png")
done
rsvg-convert --width 256 --height 256 --output icon-256.png icon.svg
# --raw: the large one stays a PNG inside, else it alone takes 256 KiB.
icotool --create --output icon.ico --raw icon-256.png "${pictures[@]}"
ls -l icon-256.png icon.ico
