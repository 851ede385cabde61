#!/usr/bin/env bash
# Power cuts in a virtual machine (software emulation, no special rights): ci/vm.sh [CUTS [MEDIUM...]], 20 on each of block and dax unless said.
# FLAC_SEED=N repeats the moments as far as they are ours.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cuts=${1:-20}
[ $# -lt 2 ] && media=(block dax) || media=("${@:2}")
[ "$(uname -m)" = x86_64 ] || { echo "skipped: the virtual machine is an x86-64 one"; exit 0; }
need_command() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || apt_install "$2" || { echo "skipped: there is no $1"; exit 0; }; }
need_command qemu-system-x86_64 qemu-system-x86
need_command cpio cpio
need_command mke2fs e2fsprogs
need_command sqlite3 sqlite3
need_command python3 python3
need_command gcc gcc

vm=$(realpath -m "${CARGO_TARGET_DIR:-target}/vm")
# The distribution's kernel, its modules and a static busybox are taken out of their packages: nothing of them is installed.
fetch() {
    local work modules kernel=linux-image-amd64
    apt-cache show "$kernel" >/dev/null 2>&1 || kernel=linux-image-generic
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" RETURN
    mapfile -t packages < <(apt-cache depends "$kernel" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p')
    mapfile -t modules < <(apt-cache depends "${packages[@]}" | sed -n 's/^ *Depends: \(linux-modules-[^ ]*\)/\1/p')
    (cd "$work" && apt-get -q download "${packages[@]}" ${modules[@]+"${modules[@]}"} busybox-static >/dev/null 2>&1) || return
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/x" || return; done
    rm -rf "$vm.new" && mkdir -p "$vm.new/modules"
    find "$work/x" -name 'vmlinuz-*' -exec cp {} "$vm.new/vmlinuz" \;
    find "$work/x" -path '*/bin/busybox' -exec cp {} "$vm.new/busybox" \;
    for module in crc16 crc32c_generic libcrc32c mbcache jbd2 ext4 virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk \
        libnvdimm nd_btt nd_pmem nd_e820; do
        find "$work/x" \( -name "$module.ko" -o -name "$module.ko.*" \) -exec cp {} "$vm.new/modules/" \;
    done
    find "$vm.new/modules" -name '*.xz' -exec xz -d {} +
    find "$vm.new/modules" -name '*.zst' -exec zstd -q -d --rm {} +
    mkdir -p "$vm" && rm -rf "$vm/modules" && mv "$vm.new"/* "$vm/" && rmdir "$vm.new"
}
if ! [ -s "$vm/vmlinuz" ]; then
    fetch || { as_root apt-get update -q >/dev/null && fetch; } || { echo "skipped: can't download the distribution's kernel"; exit 0; }
fi
cargo test --quiet --release --test vm -- lie block 1 "$vm"
for medium in "${media[@]}"; do
    cargo test --quiet --release --test vm -- cuts "$medium" "$cuts" "$vm"
done
