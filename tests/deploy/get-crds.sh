#!/bin/sh
# Prints the folder of the resource definitions that the chart's objects need and Kubernetes does not bring, at pinned
# versions from Go's module proxy, kept in ~/.cache/foghorn.
set -eu
operator=v0.85.0
gateway=v1.6.3

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
place=$cache/crds-$operator-$gateway
mkdir -p "$cache"
exec 9>"$place.lock"
flock 9
if [ ! -d "$place" ]; then
    go=$("$(dirname "$0")/get-go.sh")
    work=$(mktemp -d "$cache/crds.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    folder() { "$go" mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'; }
    from=$(folder "github.com/prometheus-operator/prometheus-operator@$operator")/example/prometheus-operator-crd
    mkdir "$work/crds"
    cp "$from/monitoring.coreos.com_servicemonitors.yaml" "$from/monitoring.coreos.com_prometheusrules.yaml" "$work/crds"
    from=$(folder "sigs.k8s.io/gateway-api@$gateway")/config/crd/standard
    cp "$from/gateway.networking.k8s.io_httproutes.yaml" "$work/crds"
    mv "$work/crds" "$place"
fi
echo "$place"
