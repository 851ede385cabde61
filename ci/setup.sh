#!/usr/bin/env bash
# Installs what building and testing need: a Rust toolchain, and the Debian packages of the programs that the tests run.
# What is missing and can't be installed is reported; the tests that need it then say so.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=(bash coreutils grep sed gawk findutils diffutils tar gzip xz-utils bzip2 sqlite3 git gcc g++ pkg-config libc6-dev make python3 perl rsync vim
    file bc cpio zip unzip patch attr binutils util-linux procps fuse3 busybox-static fio valgrind)

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    apt_install "${missing[@]}" && echo "installed: ${missing[*]}"
fi || true
need_toolchain
for component in rustfmt clippy; do
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component" || echo "missing: $component"
done
