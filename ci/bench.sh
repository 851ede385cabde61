#!/usr/bin/env bash
# FLAC against tmpfs and disk: operations (examples/microbench) and whole programs (examples/apps) in interleaved rounds; then charts.
#
# usage: ci/bench.sh [--out DIR] [OPTION...]   adds to DIR/results.json and .csv (target/bench unless said), and draws DIR/*.svg and DIR/figures.md;
#                                              options such as --only cp,sort or --rounds 3 go to examples/apps
#        ci/bench.sh --test                    every case once, small: only the results are checked
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo build --quiet --release -p flac-shim -p flac-cli
cargo build --quiet --release --examples
examples=${CARGO_TARGET_DIR:-target}/release/examples

if [ "${1:-}" = --test ]; then
    "$examples/microbench" --test
    "$examples/apps" --test --no-fsync
    exit
fi
out=target/bench
if [ "${1:-}" = --out ]; then
    out=$2
    shift 2
fi
"$examples/apps" --out "$out" "$@"
"$examples/charts" --results "$out" --out "$out"
