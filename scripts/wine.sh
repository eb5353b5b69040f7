#!/usr/bin/env bash
# Runs a Windows program under Wine, in a prefix of its own in target/wine.
#
#   scripts/wine.sh                  make the prefix, if there is none yet
#   scripts/wine.sh run EXE ARGS...  the same, then run EXE
#   scripts/wine.sh stop             end everything that runs in it
#
# TAGIO_WINE_DIR puts the prefix elsewhere. Several calls at once are fine.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export WINEPREFIX=${TAGIO_WINE_DIR:-$root/target/wine}
export WINEARCH=win64
export WINEDEBUG=${WINEDEBUG:--all}
# Else the first start asks, in a window, whether to download Mono and Gecko.
export WINEDLLOVERRIDES=${WINEDLLOVERRIDES:-mscoree,mshtml=}
ready=$WINEPREFIX/.tagio-ready

# Wine's first major version that has bcryptprimitives.dll, which Rust's standard library imports.
readonly has_bcryptprimitives=9

# The random numbers of bcryptprimitives.dll, by the older function that every Wine has. Never shipped.
stub_source() {
  cat <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T bytes) {
  while (bytes) {
    ULONG part = bytes > 0x10000000 ? 0x10000000 : (ULONG)bytes;
    if (!SystemFunction036(to, part)) return FALSE;
    to += part;
    bytes -= part;
  }
  return TRUE;
}
C
}

die() {
  echo "scripts/wine.sh: $*" >&2
  exit 1
}

wine_major() {
  local version
  version=$(wine --version 2>/dev/null | grep -o 'wine-[0-9]*' | head -n 1)
  echo "${version#wine-}"
}

add_stub() {
  local source=$WINEPREFIX/bcryptprimitives.c
  command -v x86_64-w64-mingw32-gcc >/dev/null || die "Wine before 9 needs mingw for a stub; run scripts/windows.sh once"
  stub_source >"$source"
  x86_64-w64-mingw32-gcc -shared -O2 -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" "$source" -ladvapi32
}

make_prefix() {
  local major
  major=$(wine_major)
  mkdir -p "$WINEPREFIX"
  # No display: making a prefix shows nothing, and must work where there is none.
  env -u DISPLAY wineboot --init >/dev/null 2>&1 || true
  # A new prefix of Wine 8 says that it is Windows 7.
  env -u DISPLAY wine winecfg -v win10 >/dev/null 2>&1 || true
  [ -d "$WINEPREFIX/drive_c/windows/system32" ] || die "Wine made no prefix in $WINEPREFIX"
  if [ "${major:-0}" -lt "$has_bcryptprimitives" ]; then
    add_stub
  fi
  wineserver --wait
  touch "$ready"
}

command -v wine >/dev/null || die "Wine is not installed: apt-get install --no-install-recommends wine wine64"
mkdir -p "$(dirname "$WINEPREFIX")"
if [ ! -e "$ready" ]; then
  exec 9>"$WINEPREFIX.lock"
  flock 9
  [ -e "$ready" ] || make_prefix
  exec 9>&-
fi

case ${1:-} in
  "") echo "Wine prefix: $WINEPREFIX" ;;
  run)
    shift
    [ $# -gt 0 ] || die "run what? scripts/wine.sh run EXE ARGS..."
    exec wine "$@"
    ;;
  stop)
    # An error means that nothing runs.
    wineserver --kill || true
    wineserver --wait
    ;;
  *) die "unknown command $1; there are: run EXE ARGS..., stop" ;;
esac
