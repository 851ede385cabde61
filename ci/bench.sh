#!/usr/bin/env bash
# FLAC against tmpfs and disk: operations (examples/microbench) and whole programs (examples/apps) in interleaved rounds; then charts.
#
# usage: ci/bench.sh [--out DIR] [PART...]   adds to DIR/results.json and .csv (target/bench unless said), and draws DIR/*.svg and DIR/figures.md;
#                                            parts are targets, matrix, apps, checkpoint, plain (FLAC without huge pages); all unless said
#        ci/bench.sh --test                  every case once, small: only the results are checked
# One row at a time: target/release/examples/apps --only cp --out target/bench, and so on; `--help` says more.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo build --quiet --release -p flac-shim -p flac-cli
cargo build --quiet --release --examples
examples=${CARGO_TARGET_DIR:-target}/release/examples

if [ "${1:-}" = --test ]; then
    "$examples/microbench" --test
    "$examples/apps" --test --no-fsync
    "$examples/checkpoint" --test --no-fsync
    exit
fi
out=${CARGO_TARGET_DIR:-target}/bench
if [ "${1:-}" = --out ]; then
    out=$2
    shift 2
fi
[ $# -gt 0 ] || set -- targets matrix apps checkpoint plain
status=0
for part in "$@"; do
    case $part in
        targets | matrix) "$examples/microbench" --preset "$part" --out "$out" || status=1 ;;
        apps) "$examples/apps" --out "$out" || status=1 ;;
        checkpoint) "$examples/checkpoint" --out "$out" || status=1 ;;
        plain)
            "$examples/microbench" --preset targets --frames plain --out "$out" || status=1
            "$examples/apps" --frames plain --no-fsync --rounds 3 --out "$out" || status=1
            ;;
        *)
            echo "unknown part: $part" >&2
            exit 2
            ;;
    esac
done
"$examples/charts" --results "$out" --out "$out"
exit $status
