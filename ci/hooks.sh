#!/usr/bin/env bash
# shim/HOOKS.txt against what libflacshim.so exports, against the list of libc's file symbols, and against what this machine's programs import.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo build --quiet --release -p flac-shim
library=${CARGO_TARGET_DIR:-target}/release/libflacshim.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A line is `symbol<TAB>served|passed|refused ERRNO[<TAB>why]`.
awk -F'\t' '/^#/ || /^$/ { next } { print $1 > ("'"$work"'/" substr($2, 1, index($2 " ", " ") - 1)) ; print $1 }' shim/HOOKS.txt | sort >"$work/listed"
touch "$work/served" "$work/passed" "$work/refused"
nm -D --defined-only "$library" | awk '$2 ~ /[TWDBRVi]/ { sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/exported"
sort -u "$work/served" "$work/refused" >"$work/ours"

status=0
say() {
    [ -s "$2" ] || return 0
    echo "$1:" $(tr '\n' ' ' <"$2")
    status=1
}
uniq -d "$work/listed" >"$work/twice"
awk -F'\t' '/^#/ || /^$/ { next } $2 !~ /^(served|passed|refused E[A-Z0-9]+)$/ { print $1 }' shim/HOOKS.txt >"$work/wrong"
comm -23 "$work/exported" "$work/ours" >"$work/unlisted"
comm -13 "$work/exported" "$work/ours" >"$work/absent"
sort "$work/passed" | comm -12 - "$work/exported" >"$work/passed-but-exported"
say "listed twice" "$work/twice"
say "neither served, passed nor refused ERRNO" "$work/wrong"
say "exported but not listed as served or refused" "$work/unlisted"
say "listed as served or refused but not exported" "$work/absent"
say "listed as passed but exported" "$work/passed-but-exported"
# libc's entry points to files: each must have a line.
grep -v '^#' ci/libc-symbols.tsv | cut -f1 | sort -u | comm -23 - <(sort -u "$work/listed") >"$work/uncovered"
say "file symbols of libc without a line" "$work/uncovered"
# And what the programs of this machine import from libc must be in one of the tables of `flac check`.
cargo build --quiet --release -p flac-cli
"${CARGO_TARGET_DIR:-target}/release/flac" check --machine || status=1
[ $status = 0 ] && echo "$(grep -c . "$work/served") served, $(grep -c . "$work/passed") passed, $(grep -c . "$work/refused") refused"
exit $status
