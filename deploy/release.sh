#!/usr/bin/env bash
# Makes a release, all of it, on one Debian machine:
#
#   deploy/release.sh --check VERSION     is everything ready for it? Nothing is built
#   deploy/release.sh VERSION             build it twice, compare, leave it in target/release-VERSION
#   deploy/release.sh --program FILE VERSION   pack this amd64 program instead of compiling (for tests)
#   --out FOLDER                          leave it there instead
#
# What it makes: for amd64 and arm64 an archive, a .deb, a .rpm and an image (OCI archive); the chart, the sources, the
# site of all pages, the list of all parts (SBOM), the licences of all parts, SHA256SUMS.
#
# Everything is made from the commit, not from the work tree, in two folders one after the other, and the two results are
# compared byte by byte. The clock is never asked: the commit's date stands for it (SOURCE_DATE_EPOCH).
#
# Needs Rust, and from Debian what NEEDED names. What crates.io and Go's module proxy have is fetched by
# tests/deploy/get-*.sh at pinned versions. arm64 is cross-compiled: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, and
# `rustup target add aarch64-unknown-linux-gnu`; where these cannot be had, arm64 is left out, and the end says so.
#
# There is no static (musl) archive: musl's allocator makes every thread wait for one lock, and Foghorn allocates on all
# threads for each event. The program needs glibc 2.34 (2021) or newer and nothing else.

set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo"

NEEDED=(git:git tar:tar gzip:gzip xz:xz-utils umoci:umoci python3:python3 objdump:binutils sha256sum:coreutils)
declare -A TRIPLE=([amd64]=x86_64-unknown-linux-gnu [arm64]=aarch64-unknown-linux-gnu)
declare -A GNU=([amd64]=x86_64-linux-gnu [arm64]=aarch64-linux-gnu)
declare -A LIBRARIES=([amd64]=/lib/x86_64-linux-gnu [arm64]=/usr/aarch64-linux-gnu/lib)
declare -A LOADER=([amd64]=/lib64/ld-linux-x86-64.so.2 [arm64]=/lib/ld-linux-aarch64.so.1)

left_out=()
faults=()

main() {
    local check='' program='' out='' version=''
    while [ $# -gt 0 ]; do
        case $1 in
        --check) check=yes ;;
        --program) program=$(realpath "$2"); shift ;;
        --out) out=$2; shift ;;
        -*) usage ;;
        *) [ -z "$version" ] || usage; version=$1 ;;
        esac
        shift
    done
    [ -n "$version" ] || usage
    ready "$version" "$program"
    [ -z "$check" ] || { echo "ready: $version from $(git rev-parse --short=12 HEAD)"; exit 0; }
    make_twice "$version" "$program" "${out:-target/release-$version}"
}

usage() { sed -n '4,7s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

say() { printf '==== %s\n' "$*" >&2; }

# ---------------------------------------------------------------- is it ready?

# Every fault at once.
ready() {
    local version=$1 program=$2 entry
    has_version "$version" 'Cargo.toml' "$(sed -n '/^\[workspace.package\]/,/^\[package\]/s/^version = "\(.*\)"$/\1/p' Cargo.toml)"
    has_version "$version" 'charts/foghorn/Chart.yaml, version' "$(sed -n 's/^version: //p' charts/foghorn/Chart.yaml)"
    has_version "$version" 'charts/foghorn/Chart.yaml, appVersion' "$(sed -n 's/^appVersion: //p' charts/foghorn/Chart.yaml | tr -d '"')"
    has_version "$version" 'charts/foghorn/Chart.yaml, artifacthub.io/images' "$(sed -n 's/^      image: .*:\(.*\)$/\1/p' charts/foghorn/Chart.yaml)"
    has_version "$version" 'deploy/debian/changelog' "$(sed -n '1s/^foghorn (\(.*\)-[0-9]*) .*/\1/p' deploy/debian/changelog)"
    changes "$version" >/dev/null || faults+=("CHANGELOG.md has no section \"## [$version] - DAY\" with something in it")
    for entry in "${NEEDED[@]}"; do
        command -v "${entry%%:*}" >/dev/null || faults+=("${entry%%:*} is not installed: apt-get install ${entry##*:}")
    done
    if [ -z "$program" ] && [ -n "$(git status --porcelain --untracked-files=no)" ]; then
        faults+=("the work tree has changes: a release is made from a commit")
    fi
    [ ${#faults[@]} -eq 0 ] || { printf 'not ready: %s\n' "${faults[@]}" >&2; exit 1; }
    if ! can_cross; then
        left_out+=("arm64: this machine has no cross compiler for it (apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross; rustup target add ${TRIPLE[arm64]})")
        printf 'will be left out: %s\n' "${left_out[@]}" >&2
    fi
}

has_version() { [ "$3" = "$1" ] || faults+=("$2 says ${3:-nothing}, not $1"); }

# What CHANGELOG.md says of a version.
changes() {
    awk -v head="## [$1] - " 'index($0, head) == 1 && $NF ~ /^[0-9]+-[0-9]+-[0-9]+$/ { on = 1; next } /^## / { on = 0 } on' CHANGELOG.md | grep .
}

can_cross() {
    command -v "${GNU[arm64]}-gcc" >/dev/null && [ -e "${LIBRARIES[arm64]}/libc.so.6" ] &&
        [ -d "$(rustc --print sysroot)/lib/rustlib/${TRIPLE[arm64]}/lib" ]
}

# ---------------------------------------------------------------- twice

make_twice() {
    local version=$1 program=$2 out=$3 work
    work=$(mktemp -d "${TMPDIR:-/tmp}/foghorn-release.XXXXXX")
    # shellcheck disable=SC2064 # now
    trap "rm -rf '$work'" EXIT
    SOURCE_DATE_EPOCH=$(git show --no-patch --format=%ct HEAD)
    FOGHORN_COMMIT=$(git rev-parse HEAD)
    export SOURCE_DATE_EPOCH FOGHORN_COMMIT TZ=UTC LC_ALL=C.UTF-8
    umask 022
    # Both times the same, whatever happens to the work tree meanwhile.
    [ -z "$program" ] || { cp "$program" "$work/program" && program=$work/program; }
    fetch_tools
    # Two folders with names of different length: a path that got into a file shows.
    make "$version" "$program" "$work/one" "$work/first"
    make "$version" "$program" "$work/the-second-one" "$work/second"
    say "compare"
    if ! diff -r "$work/first" "$work/second" >&2; then
        echo "not reproducible: the two builds differ" >&2
        exit 1
    fi
    mkdir -p "$out"
    find "$out" -mindepth 1 -delete
    cp -r "$work/first/." "$out/"
    say "$out: built twice, the same bytes"
    (cd "$out" && ls -l)
    [ ${#left_out[@]} -eq 0 ] || printf 'left out: %s\n' "${left_out[@]}"
}

fetch_tools() {
    say "tools"
    cargo_deb=$(tests/deploy/get-cargo.sh cargo-deb)
    cargo_rpm=$(tests/deploy/get-cargo.sh cargo-generate-rpm)
    cargo_about=$(tests/deploy/get-cargo.sh cargo-about)
    cargo_cyclonedx=$(tests/deploy/get-cargo.sh cargo-cyclonedx)
    helm=$(tests/deploy/get-helm.sh)
}

# Everything, from the commit: the sources go to $3, the results to $4.
make() {
    local version=$1 program=$2 place=$3/foghorn out=$4 name=foghorn-$1 arch
    mkdir -p "$place" "$out"
    say "sources"
    git archive --format=tar --prefix="$name/" "$FOGHORN_COMMIT" | gzip -n -9 >"$out/$name-source.tar.gz"
    tar -xzf "$out/$name-source.tar.gz" -C "$place" --strip-components=1
    cd "$place"
    if [ -n "$program" ]; then
        install -D "$program" "target/${TRIPLE[amd64]}/release/foghorn"
    else
        compile amd64
    fi
    pack amd64 "$version" "$out"
    if [ -z "$program" ] && can_cross; then
        compile arm64
        pack arm64 "$version" "$out"
    fi
    whole "$version" "$out"
    cd "$out"
    sha256sum -- * >"$out.sums"
    mv "$out.sums" SHA256SUMS
    cd "$repo"
}

# ---------------------------------------------------------------- for each processor

compile() {
    local arch=$1 triple=${TRIPLE[$1]} variable
    say "compile for $arch"
    variable=${triple//-/_}
    # No path of this machine gets into the program. Cross compilers are named for both Cargo and C.
    RUSTFLAGS="--remap-path-prefix=$PWD=foghorn --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo" \
        CFLAGS="-ffile-prefix-map=$PWD=foghorn" \
        env "CARGO_TARGET_${variable^^}_LINKER=${GNU[$arch]}-gcc" "CC_$variable=${GNU[$arch]}-gcc" \
        cargo build --locked --release --bin foghorn --target "$triple" --target-dir target >&2
}

pack() {
    local arch=$1 version=$2 out=$3 built=target/${TRIPLE[$1]}/release
    say "pack for $arch"
    "${GNU[$arch]}-strip" "$built/foghorn"
    # The pages are the same for all: the program of the builder's own processor writes them.
    deploy/generated.sh "target/${TRIPLE[amd64]}/release/foghorn" "$built/generated" >&2
    find "$built/generated" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    needs_glibc "$built/foghorn"
    archive "$arch" "$version" "$out" "$built"
    "$cargo_deb" --no-build --fast --target "${TRIPLE[$arch]}" --output "$out/foghorn_${version}-1_$arch.deb" >&2
    "$cargo_rpm" --target "${TRIPLE[$arch]}" --source-date "$SOURCE_DATE_EPOCH" --payload-compress gzip --output "$out/" >&2
    image "$arch" "$version" "$out" "$built"
}

# The oldest glibc that is said to do really does.
needs_glibc() {
    local newest
    newest=$(objdump -T "$1" | grep -o 'GLIBC_2\.[0-9]*' | sort -t. -k2n | tail -n 1)
    [ "${newest#GLIBC_2.}" -le 34 ] || { echo "the program needs $newest, and 2.34 is promised" >&2; exit 1; }
}

# tar with nothing in it that tells when and by whom.
plain_tar() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=ustar "$@"; }

archive() {
    local arch=$1 version=$2 out=$3 built=$4 name=foghorn-$2-linux-$1 place
    place=target/archive-$arch
    rm -rf "$place"
    mkdir -p "$place/$name"
    cp -r "$built/foghorn" "$built/generated/man" "$built/generated/completions" LICENSE README.md CHANGELOG.md docs \
        deploy haproxy "$place/$name/"
    plain_tar -C "$place" -c "$name" | gzip -n -9 >"$out/$name.tar.gz"
}

# ---------------------------------------------------------------- the image

# An OCI archive of what `Dockerfile` describes, without an engine: one layer of the program and of what it needs of Debian.
# Load it with `skopeo copy oci-archive:FILE docker-daemon:foghorn:VERSION`, `podman load -i FILE` or `ctr images import`.
image() {
    local arch=$1 version=$2 out=$3 built=$4 layout=target/image-$1 root=target/root-$1 library line
    rm -rf "$layout" "$root"
    mkdir -p "$root/etc/ssl/certs" "$root/usr/bin" "$root/usr/share/doc/foghorn" "$root/tmp"
    chmod 1777 "$root/tmp"
    install -m 755 "$built/foghorn" "$root/usr/bin/foghorn"
    # Those it is linked against, and nothing else: a library that this list lacks fails here.
    for library in $(objdump -p "$built/foghorn" | sed -n 's/^ *NEEDED *//p'); do
        case $library in ld-linux*) continue ;; esac
        install -D -m 755 "$(real_library "$arch" "$library")" "$root/lib/${GNU[$arch]}/$library"
    done
    install -D -m 755 "$(real_library "$arch" "$(basename "${LOADER[$arch]}")")" "$root${LOADER[$arch]}"
    install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    printf 'root:x:0:0::/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
    cp LICENSE "$root/usr/share/doc/foghorn/"
    plain_tar -C "$root" -cf "$layout.layer.tar" .
    umoci init --layout "$layout"
    umoci new --image "$layout:$version"
    umoci raw add-layer --image "$layout:$version" --history.created "$(day)" --history.author Foghorn "$layout.layer.tar"
    local settings=(--architecture "$arch" --os linux --created "$(day)" --no-history)
    while read -r line; do settings+=("$line"); done < <(settings_of_the_image)
    umoci config --image "$layout:$version" "${settings[@]}"
    umoci gc --layout "$layout"
    plain_tar -C "$layout" -cf "$out/foghorn-$version-linux-$arch.oci.tar" blobs index.json oci-layout
}

day() { date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ; }

real_library() {
    local found
    for found in "${LIBRARIES[$1]}/$2" "${LOADER[$1]%/*}/$2"; do
        [ ! -e "$found" ] || { realpath "$found"; return; }
    done
    echo "$2 for $1 is not here" >&2
    return 1
}

# What the last stage of the Dockerfile sets, as options of `umoci config`. Its health check is left to whoever runs it: OCI
# images have none.
settings_of_the_image() {
    python3 - <<'END'
import json, shlex
text = open("Dockerfile").read().replace("\\\n", " ")
for line in text[text.rindex("\nFROM "):].splitlines():
    word, _, rest = line.partition(" ")
    if word in ("ENV", "LABEL"):
        option = {"ENV": "--config.env", "LABEL": "--config.label"}[word]
        for pair in shlex.split(rest):
            print(f"{option}={pair}")
    elif word == "USER":
        print(f"--config.user={rest.strip()}")
    elif word == "EXPOSE":
        for port in rest.split():
            print(f"--config.exposedports={port}")
    elif word == "ENTRYPOINT":
        for piece in json.loads(rest):
            print(f"--config.entrypoint={piece}")
END
}

# ---------------------------------------------------------------- once

whole() {
    local version=$1 out=$2
    say "chart"
    chart "$version" "$out"
    say "parts and licences"
    parts "$version" "$out"
    "$cargo_about" generate --locked --config deploy/licences/about.toml --manifest-path Cargo.toml \
        --output-file "$out/THIRD-PARTY.html" deploy/licences/page.hbs >&2
    say "site"
    deploy/site/build.sh target/site >&2
    plain_tar -C target/site -c . | gzip -n -9 >"$out/foghorn-$version-site.tar.gz"
    changes "$version" >"$out/CHANGES.md"
}

# As helm packs it, with a fixed time.
chart() {
    rm -rf target/chart
    mkdir -p target/chart/packed
    "$helm" package charts/foghorn --version "$1" --app-version "$1" --destination target/chart/packed >&2
    tar -xzmf "target/chart/packed/foghorn-$1.tgz" -C target/chart
    plain_tar -C target/chart -c foghorn | gzip -n -9 >"$2/foghorn-chart-$1.tgz"
    "$helm" show chart "$2/foghorn-chart-$1.tgz" >/dev/null
}

# CycloneDX. Its serial number is by chance and its paths are this machine's: neither is of use to anybody.
parts() {
    "$cargo_cyclonedx" cyclonedx --format json --spec-version 1.5 --override-filename parts >&2
    python3 - "$PWD" "$(day)" parts.json "$2/foghorn-$1.cdx.json" <<'END'
import json, sys
place, day, source, target = sys.argv[1:]
text = open(source).read().replace(f"path+file://{place}", "path+file:///foghorn")
parts = json.loads(text)
parts.pop("serialNumber", None)
parts["metadata"]["timestamp"] = day
json.dump(parts, open(target, "w"), indent=1, sort_keys=True)
END
}

main "$@"
