#!/bin/sh
# Prints the folder of the npm packages that the package-lock.json beside a package.json pins: get-npm.sh FOLDER
# They are installed once for each lock and kept in ~/.cache/foghorn. Needs node and npm. Nothing that a package asks to run
# at its installation is run.
# Who asks for what another is just installing waits for it.
set -eu
lock=$(sha256sum "$1/package-lock.json" | cut -c 1-16)

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
place=$cache/npm-$lock
mkdir -p "$cache"
exec 9>"$place.lock"
flock 9
if [ ! -e "$place/installed" ]; then
    rm -rf "$place"
    mkdir "$place"
    cp "$1/package.json" "$1/package-lock.json" "$place"
    (cd "$place" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
    touch "$place/installed"
fi
echo "$place/node_modules"
