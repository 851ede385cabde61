#!/usr/bin/env bash
# FLAC against tmpfs and disk: operations (examples/microbench), whole programs (examples/apps) and a training program's checkpoints (examples/checkpoint) in interleaved rounds; then
# charts. Most of an hour; with --quick (smaller inputs, fewer rounds, for a first look) a few minutes.
#
# usage: ci/bench.sh [--quick] [--out DIR] [--minutes N] [PART...]
#                          adds to DIR/results.json and .csv (target/bench unless said), and draws DIR/*.svg and DIR/figures.md; after N minutes (60) no further part is begun;
#                          parts are targets, adversary, apps, checkpoint, plain (FLAC without huge pages), matrix; all unless said
#        ci/bench.sh --test                  every case once, small: only the results are checked
# One row at a time: target/release/examples/apps --only cp --out target/bench, and so on; `--help` says more.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo build --quiet --release -p flac-shim -p flac-cli
cargo build --quiet --release --examples
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
examples=$target/release/examples

if [ "${1:-}" = --test ]; then
    "$examples/microbench" --test
    "$examples/apps" --test --no-fsync
    "$examples/checkpoint" --test --no-fsync
    exit
fi

out=$target/bench
minutes=60
quick=
while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=yes ;;
        --out) out=$2 && shift ;;
        --minutes) minutes=$2 && shift ;;
        -*) echo "unknown option: $1" >&2 && exit 2 ;;
        *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || set -- targets adversary apps checkpoint plain matrix

# Rounds of operations, of the sizes for the charts, of programs and of programs on plain pages; percent of the programs' inputs; rounds of checkpoints.
read -r operations sizes programs plain percent saves <<<"7 3 3 3 100 3"
[ -z "$quick" ] || read -r operations sizes programs plain percent saves <<<"3 1 1 1 20 1"

# A python with numpy, for the rows that need one, where it can be had; not a wrapper that takes longer than what is measured.
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null || true)
if [ -n "$python" ] && ! "$python" -c 'import numpy' 2>/dev/null; then
    { [ -x "$target/python/bin/python3" ] || "$python" -m venv "$target/python"; } >/dev/null 2>&1 &&
        { "$target/python/bin/python3" -c 'import numpy' || "$target/python/bin/pip" install -q numpy; } >/dev/null 2>&1 &&
        python=$target/python/bin/python3 || echo "numpy is not there and can't be installed: its rows are left out"
fi
run_apps() {
    "$examples/apps" ${python:+--python "$python"} --out "$out" "$@"
}

status=0
# What was built and installed above does not count.
SECONDS=0
for part in "$@"; do
    if [ $SECONDS -ge $((minutes * 60)) ]; then
        echo "$part is left out: $minutes minutes are over"
        status=1
        continue
    fi
    begin=$SECONDS
    case $part in
        targets | adversary) "$examples/microbench" --preset "$part" --rounds $operations --out "$out" || status=1 ;;
        matrix) "$examples/microbench" --preset matrix --rounds $sizes --budget 40 --out "$out" || status=1 ;;
        apps) run_apps --rounds $programs --percent $percent || status=1 ;;
        checkpoint) "$examples/checkpoint" --rounds $saves --out "$out" || status=1 ;;
        plain)
            "$examples/microbench" --preset targets --frames plain --rounds $((operations / 2 + 1)) --out "$out" || status=1
            run_apps --frames plain --no-fsync --rounds $plain --percent $(((percent + 1) / 2)) || status=1
            ;;
        *)
            echo "unknown part: $part" >&2
            exit 2
            ;;
    esac
    echo "$part: $((SECONDS - begin)) s"
done
"$examples/charts" --results "$out" --out "$out"
exit $status
