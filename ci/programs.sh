#!/usr/bin/env bash
# Real programs on FLAC against the same on tmpfs. Arguments choose cases by parts of their names.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo test --quiet --release --test programs -- "$@"
