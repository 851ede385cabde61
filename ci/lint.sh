#!/usr/bin/env bash
# Formatting, lints, and the rules of the house (tests/tidy).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets -- -D warnings
cargo test --quiet --test tidy
