# Sourced by the scripts beside it: the top directory, root rights where they can be had, and a Rust toolchain that is new enough.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8
# rustup installs here, and a new shell is not always to be had.
PATH=$PATH:$HOME/.cargo/bin:/usr/local/cargo/bin

# Runs a command as root; fails where that needs a password nobody can type.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        sudo "$@"
    else
        return 1
    fi
}

# Installs Debian packages; what can't be installed is said, and the caller goes on.
apt_install() {
    command -v apt-get >/dev/null || { echo "not a Debian system: install these yourself: $*"; return 1; }
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1 && return
    as_root apt-get update -q >/dev/null 2>&1 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null && return
    echo "can't install (no root rights, or no network): $*"
    return 1
}

# Whether `cargo` is there and at least the version that Cargo.toml asks for.
rust_is_new_enough() {
    local have want
    have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -1)" = "$want" ]
}

# A C compiler (LMDB is C) and a Rust toolchain: Debian's rustup package where there is one, else rustup's own installer.
need_toolchain() {
    command -v cc >/dev/null || apt_install gcc libc6-dev
    rust_is_new_enough && return
    if ! command -v rustup >/dev/null && ! apt_install rustup; then
        command -v curl >/dev/null || apt_install curl ca-certificates
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal --no-modify-path
    fi
    rustup toolchain install stable --profile minimal
    rustup default stable
    hash -r
    rust_is_new_enough || { echo "Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer is needed" >&2; exit 1; }
}
