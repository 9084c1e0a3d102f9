#!/bin/sh
# Prints the folder of kube-apiserver, kube-controller-manager and kubectl, built once at a pinned version from Go's
# module proxy and kept in ~/.cache/foghorn. Built without optimisation: they have little to do here.
# Kubernetes' go.mod takes its own parts from folders that its module does not carry ("staging"); here they are the
# modules of the same release, and everything else is what Kubernetes' own go.mod and go.sum pin.
set -eu
version=36.3   # of 1.36.3; the parts call it 0.36.3

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
place=$cache/kubernetes-1.$version
mkdir -p "$cache"
exec 9>"$place.lock"
flock 9
if [ ! -d "$place" ]; then
    go=$("$(dirname "$0")/get-go.sh")
    work=$(mktemp -d "$cache/kubernetes.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    source=$("$go" mod download -json "k8s.io/kubernetes@v1.$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    sed -e 's|^module .*|module build|' -e "s|=> ./staging/src/\(k8s.io/.*\)|=> \1 v0.$version|" "$source/go.mod" >go.mod
    cat "$source/go.sum" >go.sum
    "$go" mod edit -require="k8s.io/kubernetes@v1.$version"
    v=k8s.io/component-base/version
    mkdir bin
    GOFLAGS='-mod=mod -buildvcs=false' CGO_ENABLED=0 nice "$go" build -trimpath -o bin/ -gcflags=all='-N -l' \
        -ldflags "-s -w -X $v.gitVersion=v1.$version -X $v.gitMajor=1 -X $v.gitMinor=${version%.*}" \
        k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
        k8s.io/kubernetes/cmd/kubectl >&2
    mv bin "$place"
fi
echo "$place"
