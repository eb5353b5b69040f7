#!/usr/bin/env bash
# Reverse tunnels on loopback: throughput (iperf3), requests (wrk against nginx), memory; beside rathole and bore where
# they are.
#
#   scripts/bench-tunnel.sh
#   ROUNDS=5 SECONDS_EACH=10 RATHOLE=path/to/rathole BORE=path/to/bore scripts/bench-tunnel.sh
#   PRODUCTS="tagio-tls rathole-noise" scripts/bench-tunnel.sh
#   RELAY=path/to/tagio_relay_server GUI=path/to/tagio-gui scripts/bench-tunnel.sh     # what is built already
#
# Needs iperf3, wrk, nginx-light and python3. `cargo install rathole bore-cli` builds the peers. Prints a Markdown table of
# medians.
# Products take turns in every round, so that what else the machine does meets all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-5}
rathole=${RATHOLE:-$(command -v rathole || true)}
bore=${BORE:-$(command -v bore || true)}
all=(tagio-tcp tagio-tls tagio-quic)
[ -z "$rathole" ] || all+=(rathole rathole-noise)
[ -z "$bore" ] || all+=(bore)
read -ra products <<<"${PRODUCTS:-${all[*]}}"
for tool in iperf3 wrk nginx python3; do
  command -v "$tool" >/dev/null || {
    echo "bench-tunnel: $tool is missing; please type: apt-get install iperf3 wrk nginx-light python3" >&2
    exit 1
  }
done
if [ -z "${RELAY:-}" ] || [ -z "${GUI:-}" ]; then
  cargo build --release --quiet --locked -p tagio_relay_server -p tagio-gui
fi
relay=${RELAY:-target/release/tagio_relay_server}
gui=${GUI:-target/release/tagio-gui}

dir=$(mktemp -d)
pids=()
# Only what was started here, by its number.
finish() {
  kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT

start() { # LOG COMMAND…
  local log=$dir/$1
  shift
  "$@" >"$log" 2>&1 &
  pids+=($!)
  started=$!
}

wait_port() {
  for _ in $(seq 200); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    sleep 0.05
  done
  echo "bench-tunnel: nothing listens on port $1; see $dir" >&2
  trap - EXIT
  exit 1
}

# The services: nginx on 4001, iperf3 on 4002.
cat >"$dir/nginx.conf" <<CONF
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/nginx.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 10000000;
  server { listen 127.0.0.1:4001 backlog=4096; location / { return 200 "hello\n"; } }
}
CONF
start nginx.out nginx -c "$dir/nginx.conf" -g 'daemon off;'
start iperf3.out iperf3 -s -B 127.0.0.1 -p 4002
wait_port 4001

# Each product has a server and a client for each of the two services, but bore's server, which has both. Visitors of the
# product with the base N come by the ports N+1 and N+2; its servers listen on N+91 and N+92.
declare -A server client
base_of() {
  case $1 in
    tagio-tcp) echo 5000 ;;
    tagio-tls) echo 5100 ;;
    tagio-quic) echo 5200 ;;
    rathole) echo 6000 ;;
    rathole-noise) echo 6100 ;;
    bore) echo 7000 ;;
    *)
      echo "bench-tunnel: there is no product $1" >&2
      return 1
      ;;
  esac
}

open_tagio() { # PRODUCT SERVICE
  local base at
  base=$(base_of "$1")
  at=127.0.0.1:$((base + 90 + $2))
  start "$1-server$2.out" env TAGIO_DATA_DIR="$dir/$1-relay$2" "$relay" -b 127.0.0.1:0 --metrics-bind off \
    --tunnel-control "$at" --tunnel-ingress "127.0.0.1:$((base + $2))"
  server[$1,$2]=$started
  wait_port "${at#*:}"
  start "$1-client$2.out" env TAGIO_DATA_DIR="$dir/$1-gui" "$gui" tunnel --carrier "${1#tagio-}" --server "$at" \
    --local-port "400$2"
  client[$1,$2]=$started
}

open_rathole() { # PRODUCT SERVICE
  local base
  base=$(base_of "$1")
  cat >"$dir/$1-server$2.toml" <<CONF
[server]
bind_addr = "127.0.0.1:$((base + 90 + $2))"
[server.services.bench]
token = "bench"
bind_addr = "127.0.0.1:$((base + $2))"
CONF
  cat >"$dir/$1-client$2.toml" <<CONF
[client]
remote_addr = "127.0.0.1:$((base + 90 + $2))"
[client.services.bench]
token = "bench"
local_addr = "127.0.0.1:400$2"
CONF
  if [ "$1" = rathole-noise ]; then
    local keys private public
    mapfile -t keys < <("$rathole" --genkey | grep '=$')
    private=${keys[0]} public=${keys[1]}
    printf '[server.transport]\ntype = "noise"\n[server.transport.noise]\nlocal_private_key = "%s"\n' "$private" \
      >>"$dir/$1-server$2.toml"
    printf '[client.transport]\ntype = "noise"\n[client.transport.noise]\nremote_public_key = "%s"\n' "$public" \
      >>"$dir/$1-client$2.toml"
  fi
  start "$1-server$2.out" env RUST_LOG=error "$rathole" --server "$dir/$1-server$2.toml"
  server[$1,$2]=$started
  start "$1-client$2.out" env RUST_LOG=error "$rathole" --client "$dir/$1-client$2.toml"
  client[$1,$2]=$started
}

open_bore() { # PRODUCT SERVICE
  if [ "$2" = 1 ]; then
    start bore-server.out "$bore" server --bind-addr 127.0.0.1
    server[bore,1]=$started
    wait_port 7835
  fi
  start "bore-client$2.out" "$bore" local "400$2" -l 127.0.0.1 --to 127.0.0.1 --port "$(($(base_of bore) + $2))"
  client[bore,$2]=$started
}

for product in "${products[@]}"; do
  base=$(base_of "$product")
  for service in 1 2; do
    "open_${product%%-*}" "$product" "$service"
  done
  for _ in $(seq 100); do
    curl -sf -m 2 -o /dev/null "http://127.0.0.1:$((base + 1))/" && break
    sleep 0.1
  done
done

bandwidth() { # PORT STREAMS: Gb/s that arrived
  iperf3 -c 127.0.0.1 -p "$1" -P "$2" -t "$seconds" -J |
    python3 -c 'import json, sys; print(round(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e9, 2))'
}
requests() { # PORT [wrk's arguments]: requests a second and milliseconds at p99
  local at=$1
  shift
  wrk -t 2 -c 64 -d "${seconds}s" --latency "$@" "http://127.0.0.1:$at/" | awk '
    /99%/ { p99 = $2; p99 = p99 ~ /us$/ ? p99 / 1000 : p99 ~ /ms$/ ? p99 + 0 : p99 * 1000 }
    /Requests\/sec/ { rate = $2 }
    END { printf "%d %.1f\n", rate, p99 }'
}

# Megabytes that processes hold while 1000 visitors have had an answer of nginx and stay.
thousand_open() { # PORT PID…
  python3 - "$@" <<'PY'
import socket, sys

port, *pids = map(int, sys.argv[1:])
visitors = []
for _ in range(1000):
    visitor = socket.create_connection(("127.0.0.1", port), 10)
    visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert visitor.recv(4096).startswith(b"HTTP/1.1 200")
    visitors.append(visitor)
for pid in pids:
    with open(f"/proc/{pid}/status") as status:
        kilobytes = next(line.split()[1] for line in status if line.startswith("VmRSS"))
    print(round(int(kilobytes) / 1024, 1), end=", " if pid != pids[-1] else "\n")
PY
}

# Before the rounds: what a program has once held it may keep.
for product in "${products[@]}"; do
  thousand_open "$(($(base_of "$product") + 1))" "${server[$product,1]}" "${client[$product,1]}" >"$dir/$product.open"
done

for round in $(seq "$rounds"); do
  for product in "${products[@]}"; do
    base=$(base_of "$product")
    bandwidth $((base + 2)) 1 >>"$dir/$product.one"
    bandwidth $((base + 2)) 8 >>"$dir/$product.eight"
    requests $((base + 1)) >>"$dir/$product.kept"
    requests $((base + 1)) -H 'Connection: close' >>"$dir/$product.fresh"
    echo "round $round of $rounds: $product" >&2
  done
done

median() { # FILE COLUMN
  sort -n -k "$2,$2" "$1" | awk -v column="$2" '{ line[NR] = $column } END { print line[int((NR + 1) / 2)] }'
}
peak() { # PID: megabytes
  awk '/VmHWM/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"
}

echo "| product | Gb/s, 1 stream | Gb/s, 8 streams | requests/s kept alive, p99 ms | requests/s on new connections, p99 ms | MB with 1000 visitors: server, client | peak MB: server, client |"
echo "|---|---|---|---|---|---|---|"
for product in "${products[@]}"; do
  kept="$(median "$dir/$product.kept" 1), $(median "$dir/$product.kept" 2)"
  fresh="$(median "$dir/$product.fresh" 1), $(median "$dir/$product.fresh" 2)"
  memory="$(peak "${server[$product,1]}"), $(peak "${client[$product,1]}")"
  echo "| $product | $(median "$dir/$product.one" 1) | $(median "$dir/$product.eight" 1) | $kept | $fresh | $(cat "$dir/$product.open") | $memory |"
done
