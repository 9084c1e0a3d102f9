#!/usr/bin/env bash
# Runs each k6 script for 20 seconds against a node; fails when one of its thresholds does. How soon something comes is none
# of them here: the machine may be busy.
#   smoke.sh URL KEY
set -uo pipefail

[ $# -eq 2 ] || { echo "usage: smoke.sh URL KEY" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
k6=$("$here/get-k6.sh") || { echo "smoke: no k6" >&2; exit 1; }

# The key goes by the environment, not by the command line, which others can read.
export URL=$1 KEY=$2 DURATION=${DURATION:-20} P99_MS=${P99_MS:-60000} K6_NO_USAGE_REPORT=true NO_COLOR=1
failed=()
for script in fanout churn soak; do
    echo "k6: $script, $DURATION s"
    timeout --kill-after=10 $((DURATION + 240)) "$k6" run --quiet --include-system-env-vars "$here/$script.js" </dev/null ||
        failed+=("$script")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "k6: FAILED: ${failed[*]}" >&2
    exit 1
fi
echo "k6: 3 scripts passed"
