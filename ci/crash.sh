#!/usr/bin/env bash
# Processes killed at random moments, and behind any instruction, with and without loss of everything volatile; random operations, after which all counts are exact; power cuts on a simulated medium; damaged pools; a full tmpfs. FLAC_SEED=N repeats a run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

for name in kill steps logstore ledger memory; do
    cargo test --quiet --release --test "$name" -- "$@"
done
FLAC_CUTS=${FLAC_CUTS:-3000} ci/power-cuts.sh
FLAC_FUZZ=${FLAC_FUZZ:-3000} ci/fuzz.sh
