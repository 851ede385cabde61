#!/usr/bin/env bash
# POSIX semantics: every case on tmpfs and on FLAC. Arguments choose cases by parts of their names.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cargo test --quiet --release --test posix -- "$@"
