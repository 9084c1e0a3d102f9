#!/usr/bin/env bash
# A release on a bare Debian with Rust, as a CI system has it: installs what is missing, then runs deploy/release.sh VERSION.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=(git xz-utils umoci python3 python3-venv ca-certificates binutils gcc libc6-dev dpkg-dev
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
apt-get update -q
apt-get install -qy --no-install-recommends "${packages[@]}"
rustup target add x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
deploy/release.sh "$1"
