#!/usr/bin/env bash
# Builds tagio-gui.exe and tagio_relay_server.exe from Linux: `make windows`. The first time it installs what
# that needs, or says what to type.
#
# TAGIO_PROFILE=dev builds them unoptimised, as the tests do. More arguments go to cargo.
set -euo pipefail
cd "$(dirname "$0")/.."

target=x86_64-pc-windows-gnu
tools=x86_64-w64-mingw32
profile=${TAGIO_PROFILE:-release}

# The DLLs that every Windows 10 has, and that the programs use. Whatever else is needed (libstdc++-6.dll,
# libgcc_s_seh-1.dll and libwinpthread-1.dll are the usual ones) would be missing after a double-click.
system_dlls='advapi32|api-ms-win-[a-z0-9-]+|bcrypt|bcryptprimitives|combase|comctl32|comdlg32|crypt32|cryptbase'
system_dlls+='|d3d11|d3d12|dnsapi|dwmapi|dxgi|dxva2|gdi32|imm32|iphlpapi|kernel32|ktmw32|msvcrt|ncrypt|netapi32|ntdll'
system_dlls+='|ole32|oleaut32|opengl32|powrprof|propsys|psapi|rpcrt4|secur32|setupapi|shcore|shell32|shlwapi'
system_dlls+='|synchronization|ucrtbase|uiautomationcore|user32|userenv|uxtheme|version|winmm|winspool|ws2_32|wtsapi32'

fail() {
  echo "scripts/windows.sh: $*" >&2
  exit 1
}

has_tools() {
  local tool
  for tool in "$tools-gcc" "$tools-g++" "$tools-windres" "$tools-objdump"; do
    command -v "$tool" >/dev/null || return 1
  done
}

has_target() {
  [ -d "$(rustc --print target-libdir --target "$target")" ]
}

prepare() {
  has_tools || scripts/setup.sh windows
  has_target && return
  command -v rustup >/dev/null || fail "install Rust's standard library for $target"
  rustup target add "$target"
}

# Cargo calls the folder of `dev` by its old name.
output_dir() {
  local name=$profile
  [ "$name" = dev ] && name=debug
  echo "${CARGO_TARGET_DIR:-target}/$target/$name"
}

check_imports() {
  local exe=$1 imports foreign
  imports=$("$tools-objdump" -p "$exe" | sed -n 's/.*DLL Name: //p' | sort -uf)
  [ -n "$imports" ] || fail "$exe imports nothing; is it a Windows program?"
  foreign=$(grep -viE "^($system_dlls)\.(dll|drv)$" <<<"$imports" || true)
  [ -z "$foreign" ] || fail "$exe needs DLLs that no Windows brings along: $foreign"
}

check_subsystem() {
  local exe=$1 wanted=$2 found
  found=$("$tools-objdump" -p "$exe" | sed -n 's/^Subsystem.*(Windows \([A-Z]*\))$/\1/p')
  [ "$found" = "$wanted" ] || fail "$exe is of the subsystem '$found' instead of '$wanted'"
}

prepare
cargo build --locked --profile "$profile" --target "$target" -p tagio-gui -p tagio_relay_server "$@"

folder=$(output_dir)
check_imports "$folder/tagio-gui.exe"
check_imports "$folder/tagio_relay_server.exe"
# Else a double-click opens a black window beside the real one.
check_subsystem "$folder/tagio-gui.exe" GUI
check_subsystem "$folder/tagio_relay_server.exe" CUI

echo "built for Windows:"
ls -lh "$folder/tagio-gui.exe" "$folder/tagio_relay_server.exe"
