#!/usr/bin/env bash
# FLAC against tmpfs and disk. With --test every case runs once and only its result is checked; without, rounds are measured and printed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo build --quiet --release -p flac-shim -p flac-cli
cargo run --quiet --release --example microbench -- "$@"
