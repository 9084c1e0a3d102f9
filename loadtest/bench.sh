#!/usr/bin/env bash
# Measures every figure of the performance table: a fresh node for each, in turns with the floor and nginx + nchan.
#
#   loadtest/bench.sh [-o FOLDER] [-r ROUNDS] [ROW...]       rows: see ROWS; ROUNDS: 5 unless told
#
# Needs target/release/foghorn and target/release/foghorn-load. nchan is used where Debian's libnginx-mod-nchan is
# installed, else fetched (not installed) with apt-get where nginx is. UPSTREAM=http://127.0.0.1:PORT adds a running
# upstream server with the same key. For each row FOLDER gets a table (.txt), the values (.json) and plots (.svg).
set -uo pipefail

ROWS=(fanout memory deliveries web desktop storm tokens stuck churn cluster)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node=${FOGHORN:-$here/target/release/foghorn}
load=${LOAD:-$here/target/release/foghorn-load}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/foghorn
out=$here/target/bench
rounds=5
pids=()

export JWT_PRIVATE_KEY=${JWT_PRIVATE_KEY:-bench-key-bench-key-bench-key-00}
export PATH=$PATH:/usr/sbin

usage() { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

clean_up() {
    local pid
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    pids=()
}
trap clean_up EXIT
trap 'exit 130' INT TERM

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Starts a node (further arguments: NAME=VALUE for its environment) and sets $url and $ops when it answers.
start_node() {
    local port
    port=$(free_port) ops=127.0.0.1:$(free_port)
    env NOTIFICATION_SERVER_HOST=127.0.0.1 NOTIFICATION_SERVER_PORT="$port" FOGHORN_OPS_ADDR="$ops" \
        "$@" "$node" >"$out/node-${#pids[@]}.log" 2>&1 &
    pids+=($!)
    url=http://127.0.0.1:$port
    wait_for curl -fsS -o /dev/null "$url/ping"
}

wait_for() {
    local try
    for try in $(seq 100); do
        "$@" 2>/dev/null && return 0
        sleep 0.1
    done
    echo "bench: no answer: $* (after $try tries; see $out/*.log)" >&2
    exit 1
}

# Sets $nchan to the option that adds nchan, or to nothing where there is none.
find_nchan() {
    nchan=()
    local module=/usr/lib/nginx/modules/ngx_nchan_module.so
    command -v nginx >/dev/null || return 0
    if [ ! -f "$module" ]; then
        module=$cache/nchan$module
        if [ ! -f "$module" ]; then
            mkdir -p "$cache/nchan"
            (cd "$cache/nchan" && apt-get download libnginx-mod-nchan && dpkg -x libnginx-mod-nchan*.deb .) >/dev/null 2>&1
        fi
    fi
    [ -f "$module" ] || { echo "bench: no nchan here" >&2; return 0; }
    export NCHAN_MODULE=$module
    nchan=(--nchan)
}

# row NAME ARGUMENTS: one scenario against the node at $url.
row() {
    local name=$1
    shift
    echo "== $name: foghorn-load $*"
    "$load" "$@" --name foghorn --rounds "$rounds" --json "$out/$name.json" --plot "$out/$name.svg" | tee "$out/$name.txt"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$name")
}

# What the node itself counted of connections that it ended.
closes() { curl -fsS "http://$ops/metrics" | grep -E '^foghorn_(closes|outbox_overflows)_total' | tee -a "$out/stuck.txt"; }

upstream() { [ -z "${UPSTREAM:-}" ] || echo "--against upstream=$UPSTREAM"; }

# shellcheck disable=SC2046  # upstream gives no word or two
run_row() {
    local url ops
    case $1 in
        fanout) start_node; row fanout fanout --url "$url" -n 1000,10000 --as desktop "${nchan[@]}" $(upstream) ;;
        # A server that needed much memory once may keep it: one round, of a fresh process.
        memory) start_node; rounds=1 row memory idle --url "$url" -n 15000 --seconds 10 "${nchan[@]}" $(upstream) ;;
        deliveries) start_node; row deliveries rate --url "$url" -r 5000 --channels 200 --subscribers 10 "${nchan[@]}" $(upstream) ;;
        web) start_node; row web idle --url "$url" -n 10000 --as web --seconds 30 "${nchan[@]}" $(upstream) ;;
        desktop) start_node; row desktop idle --url "$url" -n 10000 --as desktop --seconds 20 "${nchan[@]}" $(upstream) ;;
        storm) start_node; row storm storm --url "$url" -n 15000 --bystanders 200 "${nchan[@]}" $(upstream) ;;
        tokens) start_node; row tokens storm --url "$url" -n 10000 --wrong-tokens --no-floor ;;
        # On loopback the kernel keeps some 3 MB for a client that does not read. Large events and a short queue: those who
        # are stuck are cut off within the minute.
        stuck) start_node FOGHORN_OUTBOX_MESSAGES=20
            row stuck stuck --url "$url" -n 5000 -r 5 --payload 16384 --seconds 60 --no-floor; closes ;;
        churn) start_node; rounds=1 row churn churn --url "$url" --pairs 1000000 --timeout 600 $(upstream) ;;
        cluster) cluster ;;
        *) usage ;;
    esac
}

# Three nodes on one Redis: events go to the first, clients are on the other two.
cluster() {
    local redis nodes=()
    command -v redis-server >/dev/null || { echo "bench: no redis-server here" >&2; failed+=(cluster); return; }
    redis=$(free_port)
    redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no >"$out/redis.log" 2>&1 &
    pids+=($!)
    wait_for redis-cli -p "$redis" ping >/dev/null
    for _ in 1 2 3; do
        start_node "FOGHORN_REDIS_URLS=redis://127.0.0.1:$redis"
        nodes+=("$url")
    done
    row cluster rate --post-url "${nodes[0]}" --url "${nodes[1]}" --url "${nodes[2]}" --no-floor -r 2000
}

while getopts 'o:r:h' option; do
    case $option in
        o) out=$OPTARG ;;
        r) rounds=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ -x "$load" ] || { echo "bench: build first: cargo build --release --workspace" >&2; exit 2; }
[ -x "$node" ] || { echo "bench: $node is not there (cargo build --release --workspace)" >&2; exit 2; }
mkdir -p "$out"
failed=()
find_nchan
[ $# -gt 0 ] || set -- "${ROWS[@]}"
for name in "$@"; do
    run_row "$name"
    clean_up
done
[ ${#failed[@]} -eq 0 ] || { echo "bench: FAILED: ${failed[*]}" >&2; exit 1; }
echo "bench: tables, values and plots are in $out"
