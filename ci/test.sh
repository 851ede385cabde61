#!/usr/bin/env bash
# Unit tests of all crates, the promises of the API, the property tests, the command `flac`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo test --quiet -p flac -p flac-shim -p flac-cli -p flac-capi
cargo test --quiet --test api
cargo test --quiet --release -p flac-loom
