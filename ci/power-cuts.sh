#!/usr/bin/env bash
# Power cuts on a simulated medium, at every flush of random work and at many steps in between; each is recovered and compared with a model.
# FLAC_CUTS says how many (10,000 unless said), FLAC_SEED=N where to begin, to repeat a run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

export FLAC_CUTS=${FLAC_CUTS:-10000}
cargo test --quiet --release -p flac --lib -- --nocapture fs::survival::cuts
