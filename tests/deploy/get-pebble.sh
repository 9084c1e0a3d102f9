#!/bin/sh
# Prints the folder of pebble, an ACME server that is made for tests, and of pebble-challtestsrv, the name server that it
# asks: built once at a pinned version from Go's module proxy and kept in ~/.cache/foghorn.
set -eu
version=2.10.3

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
place=$cache/pebble-$version
mkdir -p "$cache"
exec 9>"$place.lock"
flock 9
if [ ! -d "$place" ]; then
    go=$("$(dirname "$0")/get-go.sh")
    part=$place.part
    rm -rf "$part"
    module=github.com/letsencrypt/pebble/v2/cmd
    GOBIN=$part CGO_ENABLED=0 GOTOOLCHAIN=${GOTOOLCHAIN:-auto} nice "$go" install \
        "$module/pebble@v$version" "$module/pebble-challtestsrv@v$version" >&2
    mv "$part" "$place"
fi
echo "$place"
