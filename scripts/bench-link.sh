# Sourced by bench.sh: the network between host and viewer. Loopback, or with LINK an impaired one.
# shellcheck shell=bash

# LINK is what natlab's `impair` takes, on the host's side and in both directions, such as
# "delay=20 loss=1 rate=20000 queue=60": one-way delay in ms, loss in %, rate in kbit/s, queue in ms.
# NATLAB names that script; this kernel or another, it needs no netem, because it delays packets by a program.
read -ra link <<<"${LINK:-}"
lab=""
host_address=127.0.0.1
relay_address=127.0.0.1
# For TigerVNC's -localhost.
vnc_localhost=1
# What runs a command on the host's, the viewer's and the relay's machine.
# shellcheck disable=SC2034
on_host=() on_viewer=() on_relay=()

is_link_impaired() {
  ((${#link[@]} > 0))
}

# shellcheck disable=SC2034
set_up_link() {
  is_link_impaired || return 0
  [ -x "${NATLAB:-}" ] || fail "LINK needs NATLAB: the path of the script natlab, its tunbox built"
  lab=bench$$
  "$NATLAB" up public --as "$lab" --no-server >/dev/null || fail "no network namespaces: $NATLAB wants root"
  "$NATLAB" impair "$lab" a "${link[@]}" >/dev/null
  host_address=198.51.100.10
  relay_address=203.0.113.10
  vnc_localhost=0
  on_host=(ip netns exec "nl-$lab-a")
  on_viewer=(ip netns exec "nl-$lab-b")
  on_relay=(ip netns exec "nl-$lab-relay")
}

take_down_link() {
  [ -z "$lab" ] || "$NATLAB" down "$lab" >/dev/null
  lab=""
}

# Bytes so far, both directions together, with Ethernet's headers: on loopback, where each is counted once, or on the
# host's cable.
wire_bytes() {
  if is_link_impaired; then
    "${on_host[@]}" awk '$1 == "eth0:" { print $2 + $10 }' /proc/net/dev
  else
    awk '$1 == "lo:" { print $2 }' /proc/net/dev
  fi
}
