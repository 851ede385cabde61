#!/usr/bin/env bash
# Processes killed at random moments, and behind any instruction, with and without loss of everything volatile; random operations, after which all counts are exact; power cuts on a simulated medium; damaged pools; a full tmpfs. FLAC_SEED=N repeats a run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

found=0
for name in crash kill steps logstore ledger memory; do
    if grep -q "^name = \"$name\"" Cargo.toml; then
        found=1
        cargo test --quiet --release --test "$name" -- "$@"
    fi
done
[ $found = 1 ] || echo "skipped: there are no kill tests in tests/ yet"
FLAC_CUTS=${FLAC_CUTS:-3000} ci/power-cuts.sh
FLAC_FUZZ=${FLAC_FUZZ:-3000} ci/fuzz.sh
