#!/bin/sh
# Prints the path of a program that crates.io has: get-cargo.sh PROGRAM
# The one on PATH, else one built once, at the version pinned here, and kept in ~/.cache/foghorn. Hardly optimised: it has
# little to do here. Who asks for what another is just building waits for it.
set -eu
features=
case $1 in
cargo-about) version=0.9.3 features='--features cli' ;;
cargo-cyclonedx) version=0.5.9 ;;
cargo-deb) version=3.8.0 ;;
cargo-generate-rpm) version=0.21.1 ;;
# Without its server and its watcher.
mdbook) version=0.5.4 features='--no-default-features --features search' ;;
*) echo "get-cargo.sh: no version is pinned for $1" >&2; exit 2 ;;
esac

if command -v "$1" >/dev/null 2>&1; then
    command -v "$1"
    exit 0
fi
cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
place=$cache/$1-$version
mkdir -p "$cache"
exec 9>"$place.lock"
flock 9
if [ ! -x "$place/bin/$1" ]; then
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # shellcheck disable=SC2086 # the features are words
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_TARGET_DIR="$work" nice cargo install --locked --quiet --root "$place" --version "$version" $features "$1" >&2
    # Cargo says it is well where it had nothing to install.
    [ -x "$place/bin/$1" ]
fi
echo "$place/bin/$1"
