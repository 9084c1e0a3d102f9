#!/bin/sh
# Writes the manual pages and completions that the packages carry: deploy/generated.sh [PROGRAM [FOLDER]]
# They lie beside the program that a release build has made, where `cargo deb` and `cargo generate-rpm` look for them.
set -eu
target=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}
program=${1:-$target/release/foghorn}
folder=${2:-$target/release/generated}
rm -rf "$folder"
"$program" man --dir "$folder/man"
gzip -n -9 "$folder"/man/*.1
"$program" completions --dir "$folder/completions"
