#!/bin/sh
# Prints the path of a cargo-deb: the one on PATH, else one built once at a pinned version and kept in ~/.cache/foghorn.
# Built without optimisation: it has little to do here.
set -eu
version=3.8.0

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
if command -v cargo-deb >/dev/null 2>&1; then
    command -v cargo-deb
    exit 0
fi
place=$cache/cargo-deb-$version
if [ ! -x "$place/bin/cargo-deb" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_TARGET_DIR="$work" nice cargo install --locked --quiet --root "$place" --version "$version" cargo-deb >&2
fi
echo "$place/bin/cargo-deb"
