#!/usr/bin/env bash
# What takes too long for every change: all of ci/all.sh, the GNU programs' own test suites, then the random tests with ROUNDS (default 20) new seeds each, the exercisers (1,000,000 operations on one file by one process and by several, 20 seeds), power cuts in a virtual machine, and the full benchmark.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

ci/all.sh
ci/suites.sh
for ((round = 1; round <= ${ROUNDS:-20}; round++)); do
    seed=$RANDOM$RANDOM
    echo "==> round $round, FLAC_SEED=$seed"
    FLAC_SEED=$seed FLAC_CUTS=10000 FLAC_FUZZ=10000 ci/crash.sh
    FLAC_SEED=$seed PROPTEST_CASES=${PROPTEST_CASES:-2000} cargo test --quiet --release -p flac
    FLAC_TEST_REPEAT=2 ci/programs.sh 06-
done
ci/exercisers.sh tree stress python posix
OPERATIONS=1000000 ci/exercisers.sh shared fsx
ci/vm.sh
FLAC_SEED=$RANDOM FLAC_LEDGER_OPERATIONS=${OPERATIONS:-1000000} cargo test --quiet --release --test ledger process
ci/fuzz.sh
ci/bench.sh
