#!/usr/bin/env bash
# Builds the release and installs the command, the preload library, and libflac with header and pkg-config file, below PREFIX (default
# /usr/local), in the directory DESTDIR if that is set. With --uninstall the same files are removed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

prefix=${PREFIX:-/usr/local}
to=${DESTDIR:-}$prefix
built=${CARGO_TARGET_DIR:-target}/release
if [ "${1:-}" = --uninstall ]; then
    rm -f "$to"/bin/flac "$to"/lib/{libflacshim.so,libflac.a,libflac.so,libflac.so.0,pkgconfig/flac.pc} "$to"/include/flac.h
    exit
fi
need_toolchain
cargo build --quiet --release -p flac-cli -p flac-shim -p flac-capi
install -d "$to"/bin "$to"/lib/pkgconfig "$to"/include
install -m 755 "$built/flac" "$to/bin/flac"
install -m 755 "$built/libflacshim.so" "$to/lib/libflacshim.so"
install -m 755 "$built/libflac.so" "$to/lib/libflac.so.0"
ln -sf libflac.so.0 "$to/lib/libflac.so"
install -m 644 "$built/libflac.a" "$to/lib/libflac.a"
install -m 644 flac/include/flac.h "$to/include/flac.h"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
sed "s|@PREFIX@|$prefix|; s|@VERSION@|$version|" flac/capi/flac.pc.in >"$to/lib/pkgconfig/flac.pc"
