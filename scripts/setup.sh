#!/usr/bin/env bash
# Installs what building, tests and the demo need on Debian and its relatives. Quick when nothing is missing.
#
#   scripts/setup.sh            tests and demo
#   scripts/setup.sh windows    also: the Windows programs, built here and tried in Wine
#   scripts/setup.sh scrap      also: the optional capture backend
#   scripts/setup.sh ssh        also: OpenSSH's server, for a test; Debian starts it for everybody
set -euo pipefail

wanted=(build-essential pkg-config nasm curl ca-certificates make git
  xvfb openbox xterm mousepad xdotool x11-utils imagemagick fonts-dejavu-core
  ffmpeg libgl1 libgl1-mesa-dri libegl1 libxkbcommon0 libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2
  iproute2 nftables miniupnpd-nftables nginx pebble python3-venv
  python3-websockets tinyproxy-bin openssl openssh-client openssh-server netcat-openbsd iperf3 wrk dnsmasq-base
  bind9-dnsutils)
windows_target=""

for part in "$@"; do
  case $part in
    windows)
      wanted+=(gcc-mingw-w64-x86-64 g++-mingw-w64-x86-64 wine wine64)
      windows_target=x86_64-pc-windows-gnu
      ;;
    scrap) wanted+=(libxcb1-dev libxcb-shm0-dev libxcb-randr0-dev) ;;
    ssh) wanted+=(openssh-server) ;;
    *)
      echo "setup: no part called '$part'; there are: windows scrap ssh" >&2
      exit 2
      ;;
  esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup: this is no Debian; install what these packages hold: ${wanted[*]}" >&2
  exit 1
fi

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for package in "${wanted[@]}"; do
  is_installed "$package" || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  install="apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" = 0 ]; then
    as_root=()
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo)
  else
    echo "setup: please type: sudo $install" >&2
    exit 1
  fi
  echo "setup: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  # shellcheck disable=SC2086 # words on purpose
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" $install >/dev/null
fi

if ! command -v cargo >/dev/null; then
  echo "setup: Rust is missing; please type: curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y" >&2
  exit 1
fi

# For the test of the forward tunnel; Debian 12 has no package of it.
python="$(dirname "$0")/../target/python"
if ! "$python/bin/python3" -c 'import aioquic' 2>/dev/null; then
  echo "setup: installing Python's aioquic into target/python"
  python3 -m venv "$python" && "$python/bin/pip" install --quiet 'aioquic==1.*'
fi

if [ -n "$windows_target" ] && command -v rustup >/dev/null; then
  rustup target list --installed | grep -qx "$windows_target" || rustup target add "$windows_target"
fi
