#!/usr/bin/env bash
# A soak with faults at random: two Redis servers, three nodes, HAProxy in front; 500 events a second, clients that come
# back, and every half minute something is hurt and healed. Prints the ledger; fails unless it balances.
#
#   loadtest/soak-faults.sh [--protocol PROTOCOL] [MINUTES] [EVENTS A SECOND] [more options of `foghorn-load soak`]
#
# Each channel has three posters, which post at one moment, each to a node of its own: so all nodes publish to every channel at once. What
# is said behind takes the place of what is said here, as --posters-per-channel 1.
#
# FOGHORN and FOGHORN_LOAD name the two programs (default: target/release/…); SOAK_FAULTS, which faults to pick from; SOAK_FAULT_EVERY, about how many
# seconds lie between two. All on 127.0.0.1; needs redis-server, redis-cli, haproxy and curl.
#
# PROTOCOL is seafile, unless told: HAProxy posts again what a node did not answer, as in haproxy/haproxy.cfg; the nodes tell by
# the Idempotency-Key that it gives each post. Or centrifugo1: clients subscribe with `recover`, and Redis writes down what
# channels keep, so that it has that after it was killed, but where the fault is to empty it. v1's API knows no
# Idempotency-Key, so nothing is posted again that a node may have done.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node=${FOGHORN:-$root/target/release/foghorn} load=${FOGHORN_LOAD:-$root/target/release/foghorn-load}
base=${SOAK_PORTS:-19300}   # the first of twenty ports
front=$base
export PATH="$PATH:/usr/sbin:/sbin" JWT_PRIVATE_KEY=soak-soak-soak-soak-soak-soak-soak-00

redis_port() { echo $((base + 1 + $1)); }
node_port() { echo $((base + 5 + $1)); }
ops_port() { echo $((base + 10 + $1)); }
inner_port() { echo $((base + 15 + $1)); }
pid() { cat "$SOAK/$1.pid"; }

is_v1() { [ "$SOAK_PROTOCOL" = centrifugo1 ]; }

start_redis() {
    mkdir -p "$SOAK/redis$1"
    redis-server --port "$(redis_port "$1")" --bind 127.0.0.1 --save "" --appendonly "$(is_v1 && echo yes || echo no)" \
        --dir "$SOAK/redis$1" >>"$SOAK/redis$1.log" 2>&1 &
    echo $! >"$SOAK/redis$1.pid"
    disown
}

start_node() {
    local dialect=()
    is_v1 && dialect=(FOGHORN_DIALECTS=centrifugo "FOGHORN_CENTRIFUGO_CONFIG=$SOAK/v1.json")
    env -u FOGHORN -u FOGHORN_LOAD NOTIFICATION_SERVER_HOST=127.0.0.1 NOTIFICATION_SERVER_PORT="$(node_port "$1")" \
        FOGHORN_OPS_ADDR="127.0.0.1:$(ops_port "$1")" SEAFILE_LOG_TO_STDOUT=true FOGHORN_RESYNC_WINDOW=5 \
        FOGHORN_SETTLE_SECONDS=3 FOGHORN_DRAIN_SECONDS=10 \
        FOGHORN_REDIS_URLS="redis://127.0.0.1:$(redis_port 0),redis://127.0.0.1:$(redis_port 1)" "${dialect[@]}" \
        "$node" serve >>"$SOAK/node$1.log" 2>&1 &
    echo $! >"$SOAK/node$1.pid"
    disown
}

# Waits until every node is ready and hears both shards.
all_well() {
    local n tries
    for n in 0 1 2; do
        for tries in $(seq 400); do
            local page
            page=$(curl -fsm 2 "http://127.0.0.1:$(ops_port "$n")/metrics" 2>/dev/null || true)
            if [ "$(grep -c '^foghorn_redis_up{.* 1$' <<<"$page")" = 2 ] &&
                curl -fsm 2 -o /dev/null "http://127.0.0.1:$(ops_port "$n")/readyz"; then break; fi
            [ "$tries" -lt 400 ] || { echo "node $n is not well" >&2; return 1; }
            sleep 0.1
        done
    done
    sleep 1   # HAProxy looks every half second
}

gone() { while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; }

restart() { kill -TERM "$(pid "node$1")"; gone "$(pid "node$1")"; start_node "$1"; }

# One fault, healed before it returns.
hurt() {
    local n=$((RANDOM % 3)) r=$((RANDOM % 2)) port
    port=$(redis_port "$r")
    case $1 in
        redis-killed) kill -KILL "$(pid "redis$r")"; gone "$(pid "redis$r")"; sleep $((1 + RANDOM % 4)); start_redis "$r" ;;
        redis-emptied) kill -KILL "$(pid "redis$r")"; gone "$(pid "redis$r")"; rm -rf "$SOAK/redis$r"; sleep 1; start_redis "$r" ;;
        redis-stopped) kill -STOP "$(pid "redis$r")"; sleep $((2 + RANDOM % 8)); kill -CONT "$(pid "redis$r")" ;;
        redis-cut) redis-cli -p "$port" CLIENT KILL TYPE pubsub; redis-cli -p "$port" CLIENT KILL TYPE normal ;;
        redis-refuses)
            # Over a connection of its own: a new one would be refused as well.
            exec 3<>"/dev/tcp/127.0.0.1/$port"
            printf 'CONFIG SET maxclients 1\r\nCLIENT KILL TYPE pubsub\r\nCLIENT KILL TYPE normal SKIPME yes\r\n' >&3
            sleep $((1 + RANDOM % 5))
            printf 'CONFIG SET maxclients 10000\r\nQUIT\r\n' >&3
            cat <&3 >/dev/null; exec 3>&- ;;
        node-killed) kill -KILL "$(pid "node$n")"; gone "$(pid "node$n")"; sleep 2; start_node "$n" ;;
        node-stopped) kill -STOP "$(pid "node$n")"; sleep $((2 + RANDOM % 8)); kill -CONT "$(pid "node$n")" ;;
        node-restarted) restart "$n" ;;
        all-restarted) for n in 0 1 2; do restart "$n"; all_well; done ;;
        *) echo "no such fault: $1" >&2; return 1 ;;
    esac >/dev/null
    all_well
}

# Clients go to any node. Each poster has a node that its events go to, and another while that one is away: what is posted to
# two nodes while Redis is away has no order between the two. HAProxy gives up within 4 s, before a poster does, which would go on
# with the next of the inner ports for good.
proxy() {
    local backend n port
    cat <<-END
	defaults
	    mode http
	    option redispatch 1
	    retries 3
	    timeout connect 250ms
	    timeout check 1s
	    timeout client 10m
	    timeout http-request 10s
	    timeout queue 10s
	    timeout tunnel 90s
	frontend public
	    bind 127.0.0.1:$front
	    maxconn 20000
	    default_backend clients
	END
    for n in 0 1 2; do
        printf 'frontend inner%s\n    bind 127.0.0.1:%s\n    default_backend events%s\n' "$n" "$(inner_port "$n")" "$n"
    done
    for backend in clients events0 events1 events2; do
        printf 'backend %s\n    balance leastconn\n    option httpchk\n' $backend
        printf '    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host foghorn\n    http-check expect status 200\n'
        if [ $backend = clients ]; then printf '    timeout server 10m\n    retry-on conn-failure empty-response\n'
        else
            printf '    timeout server 500ms\n    retry-on conn-failure %s\n' "$(is_v1 || echo empty-response response-timeout 503)"
            printf '    http-request set-header Idempotency-Key %%[uuid] unless { req.hdr(Idempotency-Key) -m found }\n'
        fi
        for n in 0 1 2; do
            port=$(node_port "$n")
            printf '    server n%s 127.0.0.1:%s check port %s inter 500ms fastinter 200ms rise 1 fall 2' "$n" "$port" "$(ops_port "$n")"
            case $backend in clients | "events$n") echo ;; *) echo ' backup' ;; esac
        done
    done
}

if [ "${1:-}" = hurt ]; then hurt "$2"; exit; fi

export SOAK_PROTOCOL=seafile
[ "${1:-}" != --protocol ] || { SOAK_PROTOCOL=$2; shift 2; }
case $SOAK_PROTOCOL in seafile | centrifugo1) ;; *) echo "soak-faults: seafile or centrifugo1, not $SOAK_PROTOCOL" >&2; exit 2 ;; esac
minutes=${1:-30} events=${2:-500}
shift $(($# < 2 ? $# : 2))
ulimit -n "$(ulimit -Hn)"
SOAK=$(mktemp -d "${TMPDIR:-/tmp}/fh-soak.XXXXXX")
export SOAK FOGHORN=$node FOGHORN_LOAD=$load SOAK_PORTS=$base

clean_up() {
    local file
    for file in "$SOAK"/*.pid; do
        kill -CONT "$(cat "$file")" 2>/dev/null || true
        kill -KILL "$(cat "$file")" 2>/dev/null || true
    done
    grep -hE ' (WARN|ERROR) ' "$SOAK"/node*.log | sed -E 's/^[^ ]+ +//; s/[0-9]+/N/g' | sort | uniq -c | sort -rn | head -20
    [ -n "${SOAK_KEEP:-}" ] && echo "kept: $SOAK" || rm -rf "$SOAK"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Two minutes of a channel are kept at 500 events a second over 200 channels.
echo '{"insecure": true, "insecure_api": true, "history_size": 300, "history_lifetime": 600, "recover": true}' >"$SOAK/v1.json"
start_redis 0; start_redis 1
for n in 0 1 2; do start_node "$n"; done
proxy >"$SOAK/haproxy.cfg"
haproxy -db -f "$SOAK/haproxy.cfg" >"$SOAK/haproxy.log" 2>&1 &
echo $! >"$SOAK/haproxy.pid"
disown
all_well

all="redis-killed redis-stopped redis-cut redis-refuses node-killed node-stopped node-restarted"
is_v1 && all+=" redis-emptied all-restarted"
faults=()
for fault in ${SOAK_FAULTS:-$all}; do
    faults+=(--fault "$fault=exec '${BASH_SOURCE[0]}' hurt $fault")
done
"$load" soak --url "http://127.0.0.1:$front" --post-url "http://127.0.0.1:$(inner_port 0)" \
    --post-url "http://127.0.0.1:$(inner_port 1)" --post-url "http://127.0.0.1:$(inner_port 2)" --posters-per-channel 3 \
    --protocol "$SOAK_PROTOCOL" --name "3 nodes, faults" --seconds $((minutes * 60)) --events "$events" \
    --answer-within 4 --replay 10 --back-after 1000 --fault-every "${SOAK_FAULT_EVERY:-20}" "${faults[@]}" "$@"
