#!/bin/bash
# Builds the image's last stage and starts docker-compose.yml on a Docker engine of its own, in a network and a process
# space of its own; nothing of it is left.  engine.sh FOGHORN-PROGRAM
# No registry is asked: the program is the one given (the Dockerfile's first stage compiles the same), and the images of
# others (the base, Redis, HAProxy, Prometheus) are put together from this machine's packages, under the names and with the
# users and commands that the real ones have. Grafana, which Debian does not have, is left out. Needs root, dockerd,
# docker-compose.
set -euo pipefail
if [ "${1:-}" != --apart ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --apart "$work" "$@"
    exit
fi
work=$2 program=$3
repo=$(cd "$(dirname "$0")/../.." && pwd)
ip link set lo up
# Debian's client, beside whatever other one is on PATH: it is as old as the engine.
docker() { /usr/bin/docker "$@"; }

fail() { echo "engine.sh: $*" >&2; docker ps -a >&2 || true; tail -n 20 "$work/dockerd.log" >&2; exit 1; }
until_true() { local i; for i in $(seq 240); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.5; done; fail "never true: $*"; }

# ---- the engine
mkdir -p "$work/data" "$work/run"
export DOCKER_HOST=unix://$work/docker.sock DOCKER_BUILDKIT=0 COMPOSE_PROJECT_NAME=foghorntest
dockerd --data-root "$work/data" --exec-root "$work/run" --pidfile "$work/dockerd.pid" -H "$DOCKER_HOST" \
    --bridge none > "$work/dockerd.log" 2>&1 &
engine=$!
trap 'docker ps -aq | xargs -r /usr/bin/docker rm -f > /dev/null 2>&1; kill $engine; wait $engine || true; umount -R "$work/data" "$work/run" 2>/dev/null || true' EXIT
until_true docker info

# ---- the images of others: programs with their libraries, users as the real ones have
# image NAME USER COMMAND-AS-JSON PROGRAM…
image() {
    local name=$1 user=$2 command=$3 place word
    shift 3
    place=$(mktemp -d -p "$work")
    mkdir -p "$place/etc" "$place/tmp"
    chmod 755 "$place"; chmod 1777 "$place/tmp"
    printf 'root:x:0:0::/:/\nredis:x:999:999::/:/\nhaproxy:x:99:99::/:/\nnobody:x:65534:65534::/:/\nnonroot:x:65532:65532::/:/\n' > "$place/etc/passwd"
    printf 'root:x:0:\nredis:x:999:\nhaproxy:x:99:\nnobody:x:65534:\nnonroot:x:65532:\n' > "$place/etc/group"
    printf 'hosts: files dns\n' > "$place/etc/nsswitch.conf"
    for word in "$@"; do
        word=$(command -v "$word") || fail "this machine has no $word"
        install -D "$word" "$place/usr/bin/$(basename "$word")"
        ldd "$word" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
            [ -e "$place$library" ] || install -D "$library" "$place$library"
        done
    done
    ln -s usr/bin "$place/bin"
    tar -C "$place" -c . | docker import -c "USER $user" -c "ENV PATH=/usr/bin" -c "CMD $command" - "$name" > /dev/null
    rm -rf "$place"
}
image gcr.io/distroless/cc-debian12:nonroot nonroot '["none"]' "$program"
docker run --rm --entrypoint /usr/bin/foghorn gcr.io/distroless/cc-debian12:nonroot --version > /dev/null || fail "the base lacks a library"
image redis:7.2-bookworm root '["redis-server"]' dash redis-server redis-cli sh
image haproxy:2.6-bookworm haproxy '["haproxy","-W","-db","-f","/usr/local/etc/haproxy/haproxy.cfg"]' haproxy bash
image prom/prometheus:v2.53.0 nobody '["none"]' prometheus wget
printf 'FROM prom/prometheus:v2.53.0\nUSER root\nENTRYPOINT ["/usr/bin/prometheus"]\n' | docker build -q -t prom/prometheus:v2.53.0 - > /dev/null

# ---- the image: its last stage as it is, on the program given
mkdir "$work/context"
cp "$program" "$work/context/foghorn"
{ printf 'FROM scratch AS build\nCOPY foghorn /usr/bin/foghorn\n'; sed -n '/^FROM gcr/,$p' "$repo/Dockerfile"; } > "$work/context/Dockerfile"
docker build -q -t foghorn:0.1.0 "$work/context" > /dev/null || fail "the image does not build"
[ "$(docker inspect -f '{{.Config.User}}' foghorn:0.1.0)" = 65532:65532 ] || fail "the image's user is another"
if docker run --rm --entrypoint /bin/sh foghorn:0.1.0 -c true 2>/dev/null; then fail "the image has a shell"; fi
if docker run --rm foghorn:0.1.0 check-config > "$work/out" 2>&1; then fail "no key, and no fault"; fi
grep -q JWT_PRIVATE_KEY "$work/out" || fail "$(cat "$work/out")"

# ---- all of it
cd "$repo"
sed 's/^JWT_PRIVATE_KEY=.*/JWT_PRIVATE_KEY=a-key-of-thirty-two-characters-00/; s/^GRAFANA_PASSWORD=.*/GRAFANA_PASSWORD=x/; s/^FOGHORN_REDIS_PASSWORD=.*/FOGHORN_REDIS_PASSWORD=secret/' .env.example > "$work/env"
printf 'FOGHORN_DRAIN_SECONDS=2\nFOGHORN_OPS_PASSWORD=for-the-console\nFOGHORN_REPLAY_SECONDS=11\nFOGHORN_NOFILE=%s\n' "$(ulimit -Hn)" >> "$work/env"
# Files beside each other, so that nothing of a developer's own .env is read.
compose() { docker-compose --project-directory "$repo" --env-file "$work/env" -f "$repo/docker-compose.yml" "$@"; }
compose up -d --no-build --scale foghorn=3 foghorn-redis foghorn haproxy prometheus > "$work/up" 2>&1 || fail "$(cat "$work/up")"
healthy() { [ "$(docker ps -q -f health=healthy | wc -l)" = "$1" ]; }
until_true healthy 6
until_true curl -sf http://127.0.0.1/notification/ping

export JWT_PRIVATE_KEY=a-key-of-thirty-two-characters-00
library=5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c
publish() { "$program" publish repo-update --repo $library "commit_id=$1" --url http://127.0.0.1/notification > /dev/null; }
# Through HAProxy, each connection lands on another node; each client must see what any node was told.
for client in 1 2 3; do
    "$program" tail $library --url http://127.0.0.1/notification --count 10 > "$work/tail$client" 2>&1 &
    tails+=($!)
done
until_true sh -c "grep -l connected $work/tail1 && grep -l connected $work/tail2 && grep -l connected $work/tail3"
sleep 1
for event in $(seq 10); do publish "$event" || fail "event $event was refused"; done
for pid in "${tails[@]}"; do timeout 60 tail --pid="$pid" -f /dev/null || fail "events are missing: $(cat "$work"/tail*)"; done
for client in 1 2 3; do
    [ "$(grep -o '"commit_id":"[0-9]*"' "$work/tail$client" | grep -o '[0-9]*' | tr '\n' ' ')" = "1 2 3 4 5 6 7 8 9 10 " ] || fail "$(cat "$work/tail$client")"
done

# ---- the console opens with its password only, and a setting of .env has come through
node=$(docker ps -q -f name=foghorn_1)
console=http://$(docker port "$node" 8084 | head -n 1)
[ "$(curl -s -o /dev/null -w '%{http_code}' "$console/nodes")" = 401 ] || fail "the console asks for no password"
curl -sf -u any:for-the-console "$console/nodes" > /dev/null || fail "the console does not take its password"
docker exec "$node" /usr/bin/foghorn check-config --changed | grep '^FOGHORN_REPLAY_SECONDS *11 ' > /dev/null || fail "a setting was not passed on"
docker logs "$node" 2>&1 | grep 'broker: Redis, 1 shard (foghorn-redis:6379), named by REDIS_HOST' > /dev/null || fail "the broker is not named"

# ---- Prometheus sees all nodes
up() { curl -sG http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=count(foghorn_build_info)' | grep '"3"' > /dev/null; }
until_true up
curl -s http://127.0.0.1:9090/api/v1/rules | grep FoghornNodeDown > /dev/null || fail "Prometheus has no rules"

# ---- a node is stopped: it drains and ends by itself; another is added without touching HAProxy
node=$(docker ps -q -f name=foghorn_1)
docker stop -t 45 "$node" > /dev/null
[ "$(docker inspect -f '{{.State.ExitCode}}' "$node")" = 0 ] || fail "the stopped node did not end cleanly"
publish 11 || fail "a post was lost with one node stopped"
compose up -d --no-build --no-recreate --scale foghorn=4 foghorn > "$work/up" 2>&1 || fail "$(cat "$work/up")"
until_true healthy 7
compose down -v > /dev/null 2>&1
echo "the image and docker-compose.yml ran: 3 nodes, Redis, HAProxy, Prometheus"
