#!/usr/bin/env bash
# Pools with wrong bytes: each must end in an error, or in a state that was true once. FLAC_FUZZ says how many (100,000 unless said), FLAC_SEED=N
# where to begin, to repeat a run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

export FLAC_FUZZ=${FLAC_FUZZ:-100000}
cargo test --quiet --release -p flac --lib -- --nocapture fs::survival::fuzz
