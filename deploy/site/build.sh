#!/usr/bin/env bash
# Makes the site of all pages: deploy/site/build.sh FOLDER
# Needs mdbook, which tests/deploy/get-cargo.sh builds where it is not there. The pages lie in the site as they lie in the
# repository, so that their links to each other hold; a file that they link to is taken along.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: deploy/site/build.sh FOLDER" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mdbook=$(tests/deploy/get-cargo.sh mdbook)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The pages of SUMMARY.md.
pages() { sed -n 's/.*](\(.*\.md\))$/\1/p' deploy/site/SUMMARY.md; }

# What PAGE links to or shows inside the repository, without pages.
files_of() {
    {
        grep -o '](\([^)#:]*\))' "$1" | sed 's/^](//; s/)$//'
        grep -oE '(src|srcset)="[^":]+"' "$1" | sed 's/^[^"]*"//; s/"$//'
    } | grep -v '\.md$' | while read -r target; do
        realpath --relative-to=. "$(dirname "$1")/$target"
    done
}

into() {
    mkdir -p "$work/src/$(dirname "$1")"
    if [ -d "$1" ]; then mkdir -p "$work/src/$1"; else cp "$1" "$work/src/$1"; fi
}

cp deploy/site/book.toml "$work/"
cp deploy/site/SUMMARY.md "$work/src.md"
mkdir "$work/src"
mv "$work/src.md" "$work/src/SUMMARY.md"
for page in $(pages); do
    into "$page"
    for file in $(files_of "$page" || true); do into "$file"; done
done
"$mdbook" build --dest-dir "$out" "$work" >&2
echo "$out"
