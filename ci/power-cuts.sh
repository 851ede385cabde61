#!/usr/bin/env bash
# Power cuts on a simulated medium, at every flush of random work and at many steps in between; each is recovered and compared with a model.
# Then the same work where the pool or the disk below it is full again and again.
# FLAC_CUTS says how many cuts (10,000 unless said), FLAC_SEED=N where to begin, to repeat a run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

export FLAC_CUTS=${FLAC_CUTS:-10000} FLAC_FULL=${FLAC_FULL:-500}
cargo test --quiet --release -p flac --lib -- --nocapture fs::survival::cuts fs::survival::full
