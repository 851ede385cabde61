#!/usr/bin/env bash
# `flac mount`: beside preloaded processes (tests/mount), and the posix cases on a mounted pool. Those that are known to differ are in ci/mount-differs.txt.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo build --quiet --release -p flac-shim -p flac-cli
cargo test --quiet --release --test mount -- --nocapture "$@"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -e /dev/fuse ] || { echo "skipped: the posix cases need /dev/fuse"; exit 0; }
status=0
cargo test --quiet --release --test posix -- --only mount >"$work/out" 2>&1 || status=$?
if ! grep -q '^test mount::' "$work/out" || grep -q '/dev/fuse may not be used by this user' "$work/out"; then
    # FUSE is there but may not be used.
    tail -n 3 "$work/out"
    echo "skipped: a pool can't be mounted here"
    exit 0
fi
sed -n 's/^test mount::\([^ ]*\) .*FAILED.*/\1/p' "$work/out" | sort >"$work/failed"
grep -v '^#' ci/mount-differs.txt | sed 's/^/^/; s/[*]$/.*/; s/$/$/' >"$work/known"
grep -v -f "$work/known" "$work/failed" >"$work/new" || true
if [ -s "$work/new" ]; then
    cat "$work/out"
    echo "fail on a mounted pool, and are not in ci/mount-differs.txt:" $(tr '\n' ' ' <"$work/new")
    exit 1
fi
tail -n 1 "$work/out"
