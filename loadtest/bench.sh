#!/usr/bin/env bash
# Measures every figure of the performance table: a fresh node for each, in turns with the floor, nginx + nchan, Centrifugo and Mercure.
#
#   loadtest/bench.sh [-o FOLDER] [-r ROUNDS] [ROW...]       rows: see ROWS; ROUNDS: 5 unless told
#
# Needs target/release/foghorn and target/release/foghorn-load. nchan is used where Debian's libnginx-mod-nchan is
# installed, else fetched (not installed) with apt-get where nginx is; Centrifugo 6 and Mercure are compiled where Go
# is. UPSTREAM=http://127.0.0.1:PORT adds a running upstream server with the same key. For each row FOLDER gets a table (.txt), the
# values (.json) and plots (.svg).
set -uo pipefail

ROWS=(fanout memory deliveries web desktop storm tokens stuck churn cluster streams stream-memory stream-posts mqtt v1-fanout v1-memory v1-deliveries
    v1-requests v1-requests-redis v1-recover v1-recover-redis)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node=${FOGHORN:-$here/target/release/foghorn}
load=${LOAD:-$here/target/release/foghorn-load}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/foghorn
out=$here/target/bench
rounds=5
pids=()

export JWT_PRIVATE_KEY=${JWT_PRIVATE_KEY:-bench-key-bench-key-bench-key-00}
export PATH=$PATH:/usr/sbin

usage() { sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

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

# Starts a node of another dialect (arguments: its name, then as for start_node) and sets $url and $ops when it is ready.
start_dialect() {
    local port
    port=$(free_port) ops=127.0.0.1:$(free_port)
    env FOGHORN_DIALECTS="$1" NOTIFICATION_SERVER_HOST=127.0.0.1 NOTIFICATION_SERVER_PORT="$port" FOGHORN_OPS_ADDR="$ops" \
        "${@:2}" "$node" >"$out/node-${#pids[@]}.log" 2>&1 &
    pids+=($!)
    url=http://127.0.0.1:$port
    wait_for curl -fsS -o /dev/null "http://$ops/readyz"
}

# A node whose event streams are at $url, any number of them for one user.
start_inbox() {
    local streams
    streams=127.0.0.1:$(free_port)
    start_dialect inbox FOGHORN_SSE_ADDR="$streams" FOGHORN_SSE_MAX_PER_USER=1000000
    url=http://$streams
}

# A node that speaks Centrifugo v1's protocol and wants neither tokens nor signs.
start_v1() {
    echo '{"insecure": true, "insecure_api": true}' >"$out/v1.json"
    start_dialect centrifugo FOGHORN_CENTRIFUGO_CONFIG="$out/v1.json"
}

# Such a node and a Centrifugo whose channels keep 100 messages and who is there, and whose clients recover; both on one Redis
# where `-redis` is said, whose process the option in $carried names then.
start_keeping() {
    local ours=() theirs=()
    if [ "$1" = -redis ]; then
        start_redis
        carried=(--redis-pid "$redis_pid")
        ours=("FOGHORN_REDIS_URLS=redis://127.0.0.1:$redis")
        theirs=(CENTRIFUGO_ENGINE_TYPE=redis "CENTRIFUGO_ENGINE_REDIS_ADDRESS=redis://127.0.0.1:$redis")
    fi
    echo '{"insecure": true, "insecure_api": true, "history_size": 100, "history_lifetime": 600, "recover": true, "presence": true}' >"$out/v1.json"
    start_dialect centrifugo FOGHORN_CENTRIFUGO_CONFIG="$out/v1.json" "${ours[@]}"
    start_centrifugo CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE=100 CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_TTL=600s \
        CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_FORCE_RECOVERY=true CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_PRESENCE=true "${theirs[@]}"
}

# Starts a Redis that keeps nothing on disk and sets $redis to its port, $redis_pid to its process.
start_redis() {
    redis=$(free_port)
    redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no >"$out/redis.log" 2>&1 &
    redis_pid=$!
    pids+=("$redis_pid")
    wait_for redis-cli -p "$redis" ping >/dev/null
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

# Sets $centrifugo to its program, or to nothing where there is none.
find_centrifugo() {
    local version=6.9.1
    centrifugo=$cache/centrifugo-$version/centrifugo
    [ -x "$centrifugo" ] && return 0
    if command -v go >/dev/null && GOBIN=$(dirname "$centrifugo") go install "github.com/centrifugal/centrifugo/v6@v$version" \
        >"$out/centrifugo-build.log" 2>&1; then
        return 0
    fi
    echo "bench: no Centrifugo here" >&2
    centrifugo=
}

# Starts a Centrifugo that wants neither tokens nor a key (further arguments: NAME=VALUE for its environment) and adds its
# URL to $peers; nothing where there is none.
start_centrifugo() {
    local port
    [ -n "$centrifugo" ] || return 0
    port=$(free_port)
    env CENTRIFUGO_HTTP_SERVER_ADDRESS=127.0.0.1 CENTRIFUGO_HTTP_SERVER_PORT="$port" CENTRIFUGO_CLIENT_INSECURE=true \
        CENTRIFUGO_HTTP_API_INSECURE=true CENTRIFUGO_HEALTH_ENABLED=true CENTRIFUGO_LOG_LEVEL=error \
        CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_ALLOW_SUBSCRIBE_FOR_CLIENT=true "$@" \
        "$centrifugo" --config "$out/centrifugo.json" >"$out/centrifugo-${#pids[@]}.log" 2>&1 &
    pids+=($!)
    peers+=("http://127.0.0.1:$port")
    wait_for curl -fsS -o /dev/null "http://127.0.0.1:$port/health"
}

# Sets $mercure to its program, or to nothing where there is none. It is the server without Caddy, which has to be asked for by tags.
find_mercure() {
    local version=0.21.0
    mercure=$cache/mercure-$version/mercure
    [ -x "$mercure" ] && return 0
    # From a module of our own: `go install` asks for the list of all versions too, which not every proxy has.
    if command -v go >/dev/null && mkdir -p "$(dirname "$mercure")" &&
        printf 'module bench\n\nrequire github.com/dunglas/mercure v%s\n' "$version" >"$(dirname "$mercure")/go.mod" &&
        (cd "$(dirname "$mercure")" && go build -mod=mod -tags deprecated_server,deprecated_transport -o mercure \
            github.com/dunglas/mercure/cmd/mercure) >"$out/mercure-build.log" 2>&1; then
        return 0
    fi
    echo "bench: no Mercure here" >&2
    mercure=
}

# Starts a Mercure and sets $hub to the option that adds it; to nothing where there is none. The transport `local` keeps no history
# on disk, as nchan keeps its ten messages in memory; heartbeats are as far apart as nchan's; the rest is Mercure's default. It
# writes a line for each request that it has answered, which nothing turns off: to /dev/null, where that costs least.
start_mercure() {
    local port
    [ -n "$mercure" ] || return 0
    port=$(free_port)
    PUBLISHER_JWT_KEY=$JWT_PRIVATE_KEY "$mercure" --addr "127.0.0.1:$port" --transport-url local://local --allow-anonymous \
        --heartbeat-interval 55s >/dev/null 2>&1 &
    pids+=($!)
    hub=(--against "mercure=mercure+http://127.0.0.1:$port")
    wait_for curl -fsS -o /dev/null "http://127.0.0.1:$port/healthz"
}

# The option that adds the Centrifugo nodes of $peers, if there are any.
peers() {
    [ ${#peers[@]} -eq 0 ] || (IFS=, && echo "--against centrifugo=centrifugo+${peers[*]}")
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

# shellcheck disable=SC2046  # upstream and peers give no word or two
run_row() {
    local url ops redis redis_pid carried=() peers=() hub=()
    case $1 in
        cluster | *-redis) command -v redis-server >/dev/null || { echo "bench: no redis-server here" >&2; failed+=("$1"); return; } ;;
        fanout | memory | deliveries | web | v1-fanout | v1-memory | v1-deliveries) start_centrifugo ;;
        streams | stream-memory | stream-posts) start_mercure ;;
    esac
    case $1 in
        fanout) start_node; row fanout fanout --url "$url" -n 1000,10000 --as desktop "${nchan[@]}" $(peers) $(upstream) ;;
        # A server that needed much memory once may keep it: one round, of a fresh process.
        memory) start_node; rounds=1 row memory idle --url "$url" -n 15000 --seconds 10 "${nchan[@]}" $(peers) $(upstream) ;;
        deliveries) start_node; row deliveries rate --url "$url" -r 5000 --channels 200 --subscribers 10 "${nchan[@]}" $(peers) $(upstream) ;;
        web) start_node; row web idle --url "$url" -n 10000 --as web --seconds 30 "${nchan[@]}" $(peers) $(upstream) ;;
        desktop) start_node; row desktop idle --url "$url" -n 10000 --as desktop --seconds 20 "${nchan[@]}" $(upstream) ;;
        storm) start_node; row storm storm --url "$url" -n 15000 --bystanders 200 "${nchan[@]}" $(upstream) ;;
        tokens) start_node; row tokens storm --url "$url" -n 10000 --wrong-tokens --no-floor ;;
        # On loopback the kernel keeps some 3 MB for a client that does not read. Large events and a short queue: those who
        # are stuck are cut off within the minute.
        stuck) start_node FOGHORN_OUTBOX_MESSAGES=20
            row stuck stuck --url "$url" -n 5000 -r 5 --payload 16384 --seconds 60 --no-floor; closes ;;
        churn) start_node; rounds=1 row churn churn --url "$url" --pairs 1000000 --timeout 600 $(upstream) ;;
        cluster) cluster ;;
        # Tabs of one user; nchan's and Mercure's clients are EventSources too, and the floor writes chunks.
        streams) start_inbox; row streams fanout --url "$url" --protocol inbox -n 1000,10000 "${nchan[@]}" "${hub[@]}" ;;
        stream-memory) start_inbox; rounds=1 row stream-memory idle --url "$url" --protocol inbox -n 15000 --seconds 10 "${nchan[@]}" "${hub[@]}" ;;
        # 1,000 users with one tab each: a delivery is a post.
        stream-posts) start_inbox; row stream-posts rate --url "$url" --protocol inbox -r 5000 --channels 1000 --subscribers 1 "${nchan[@]}" "${hub[@]}" ;;
        mqtt) mqtt ;;
        v1-fanout) start_v1; row v1-fanout fanout --url "$url" --protocol centrifugo1 -n 1000,10000 "${nchan[@]}" $(peers) ;;
        v1-memory) start_v1; rounds=1 row v1-memory idle --url "$url" --protocol centrifugo1 -n 15000 --seconds 10 "${nchan[@]}" $(peers) ;;
        v1-deliveries) start_v1
            row v1-deliveries rate --url "$url" --protocol centrifugo1 -r 5000 --channels 200 --subscribers 10 "${nchan[@]}" $(peers) ;;
        v1-requests*) start_keeping "${1#v1-requests}"; row "$1" requests --url "$url" --protocol centrifugo1 "${carried[@]}" $(peers) ;;
        v1-recover*) start_keeping "${1#v1-recover}"
            row "$1" recover --url "$url" --protocol centrifugo1 -n 10000 -m 50 "${carried[@]}" $(peers) ;;
        *) usage ;;
    esac
}

# Three nodes on one Redis: clients and posts are spread over them. Centrifugo's nodes are on the same Redis, and wait
# meanwhile.
# shellcheck disable=SC2046  # peers gives no word or two
cluster() {
    local nodes=() peers=()
    start_redis
    for _ in 1 2 3; do
        start_node "FOGHORN_REDIS_URLS=redis://127.0.0.1:$redis"
        nodes+=(--url "$url")
        start_centrifugo CENTRIFUGO_ENGINE_TYPE=redis CENTRIFUGO_ENGINE_REDIS_ADDRESS="redis://127.0.0.1:$redis"
    done
    row cluster rate "${nodes[@]}" --redis-pid "$redis_pid" $(peers) --no-floor -r 2000,10000
}

# A node and a Mosquitto, from which it takes what backends publish.
mqtt() {
    local broker streams
    command -v mosquitto_pub mosquitto_sub mosquitto >/dev/null || { echo "bench: no Mosquitto here" >&2; failed+=(mqtt); return; }
    broker=$(free_port) streams=127.0.0.1:$(free_port)
    printf 'listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n' "$broker" >"$out/mosquitto.conf"
    mosquitto -c "$out/mosquitto.conf" >"$out/mosquitto.log" 2>&1 &
    pids+=($!)
    start_dialect inbox FOGHORN_SSE_ADDR="$streams" FOGHORN_INBOX_BROKER_URL="mqtt://127.0.0.1:$broker"
    wait_for subscribed
    echo "== mqtt: loadtest/mqtt.py"
    "$here/loadtest/mqtt.py" "$broker" "$ops" "$streams" "${pids[-1]}" "$out/mqtt.json" "$rounds" | tee "$out/mqtt.txt"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=(mqtt)
}

subscribed() { curl -fsS "http://$ops/metrics" | grep -q '^foghorn_inbox_mqtt_connected 1'; }

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
echo '{}' >"$out/centrifugo.json"
find_nchan
find_centrifugo
find_mercure
[ $# -gt 0 ] || set -- "${ROWS[@]}"
for name in "$@"; do
    run_row "$name"
    clean_up
done
[ ${#failed[@]} -eq 0 ] || { echo "bench: FAILED: ${failed[*]}" >&2; exit 1; }
echo "bench: tables, values and plots are in $out"
