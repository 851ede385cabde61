#!/usr/bin/env bash
# The main job on real files: builds FLAC, makes a pool, copies a tree of 200 MB and more into it, runs grep, tar, sort and cp on it under the
# preload library, and shows the results beside those of the same programs on tmpfs. Leaves nothing behind.
#
# usage: ci/demo.sh [ROUNDS]    rounds of each step, of which the median is shown; 3 unless said
set -euo pipefail
. "$(dirname "$0")/lib.sh"
rounds=${1:-3}

if [ -z "${FLAC_DEMO_INSIDE:-}" ]; then
    need_toolchain
    echo "building ..."
    cargo build --quiet --release -p flac-shim -p flac-cli
    # As root, huge pages come from a tmpfs that only this demonstration sees. Elsewhere it goes without, or with what `flac setup` mounted.
    if [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then
        huge=$(mktemp -d)
        trap 'rmdir "$huge"' EXIT
        FLAC_DEMO_INSIDE=$huge unshare --mount --propagation private ci/demo.sh "$@"
        exit
    fi
else
    mount -t tmpfs -o huge=always,mode=1777 flac-demo "$FLAC_DEMO_INSIDE" 2>/dev/null || true
fi
unset FLAC_DEMO_INSIDE

flac=$PWD/${CARGO_TARGET_DIR:-target}/release/flac
tmpfs=$(mktemp -d /dev/shm/flac-demo.XXXXXX)
disk=$(mktemp -d)
export FLAC_POOL=$disk/pool FLAC_ROOT=/flac FLAC_STATS=$disk/stats
stop() {
    [ ! -e "$FLAC_POOL/superblock" ] || "$flac" stop --discard --force >/dev/null || true
    chmod -R u+rwx "$tmpfs" "$disk" 2>/dev/null || true
    rm -rf "$tmpfs" "$disk"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A real tree: /usr/share and /usr/lib, directory by directory, until there are 200 MB.
echo "collecting files ..."
tree=$tmpfs/source/tree
mkdir -p "$tree"
have=0
for from in /usr/share/* /usr/lib/*/* /usr/lib/*; do
    [ "$have" -lt 200000 ] || break
    size=$(du -sk "$from" 2>/dev/null | cut -f1) || true
    [ -n "$size" ] && [ "$size" -lt 120000 ] && [ ! -L "$from" ] || continue
    to=$tree$(dirname "$from")
    mkdir -p "$to"
    cp -a "$from" "$to/" 2>/dev/null || true
    have=$(du -sk "$tree" | cut -f1)
done
# What the user may not read can't be copied again.
find "$tree" ! -readable -exec rm -rf {} + 2>/dev/null || true

"$flac" mkfs --size 8G >/dev/null
mkdir "$tmpfs/root"
echo "$(find "$tree" | wc -l) names, $(du -sm "$tree" | cut -f1) MB from /usr; $("$flac" info | grep ^frames)"

# Each step runs in the directory under test; what it prints is its result.
names=(copy grep tar sort cp remove)
declare -A what=(
    [copy]="cp -a of the tree" [grep]="grep -rc in the tree" [tar]="tar cf of the tree" [sort]="sort of all lines"
    [cp]="cp of the archive" [remove]="rm -r of the tree")
declare -A step=(
    [copy]='cp -a "$SOURCE/tree" .'
    [grep]='LC_ALL=C grep -rc license tree | LC_ALL=C sort | sha256sum'
    [tar]='tar cf tree.tar --sort=name tree'
    [sort]='LC_ALL=C sort lines -o sorted'
    [cp]='cp tree.tar copy.tar'
    [remove]='rm -r tree')
# Not timed: what a step needs, and proof of what it made.
declare -A before=(
    [sort]='find tree -type f -print0 | LC_ALL=C sort -z | xargs -0 grep -hI "" 2>/dev/null | head -c 100M >lines; true'
    [cp]='rm -f copy.tar')
declare -A proof=(
    [copy]='cd tree && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum; find . -printf "%p %y %m %U %G %n %l %T@\n" | LC_ALL=C sort | sha256sum'
    [tar]='sha256sum <tree.tar' [sort]='sha256sum <sorted' [cp]='sha256sum <copy.tar' [remove]='ls')

export SOURCE=$tmpfs/source
on_tmpfs() { (cd "$tmpfs/root" && bash -c "$1"); }
on_flac() { "$flac" run -- bash -c "cd $FLAC_ROOT && $1"; }
median() { sort -n | awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'; }
seconds() { awk "BEGIN { printf \"%.2f\", $1 / 1e6 }"; }

: >"$FLAC_STATS"
for ((round = 1; round <= rounds; round++)); do
    for name in "${names[@]}"; do
        for place in tmpfs flac; do
            [ -z "${before[$name]:-}" ] || FLAC_STATS=$disk/none on_$place "${before[$name]}"
            start=${EPOCHREALTIME/./}
            on_$place "${step[$name]}" >"$disk/$place.out"
            echo $((${EPOCHREALTIME/./} - start)) >>"$disk/$name.$place"
            [ -z "${proof[$name]:-}" ] || FLAC_STATS=$disk/none on_$place "${proof[$name]}" >>"$disk/$place.out"
        done
        cmp -s "$disk/tmpfs.out" "$disk/flac.out" || echo "$name" >>"$disk/different"
    done
    rm -rf "${tmpfs:?}/root/"*
    [ "$round" = "$rounds" ] || FLAC_STATS=$disk/none on_flac 'rm -rf ./*'
done

status=0
printf '\n%-24s %9s %9s %8s  %s\n' "" "tmpfs" "FLAC" "faster" "result"
for name in "${names[@]}"; do
    a=$(median <"$disk/$name.tmpfs") b=$(median <"$disk/$name.flac")
    result=identical
    if grep -qx "$name" "$disk/different" 2>/dev/null; then result=DIFFERENT status=1; fi
    printf '%-24s %7s s %7s s %6sx  %s\n' "${what[$name]}" "$(seconds "$a")" "$(seconds "$b")" "$(awk "BEGIN { printf \"%.2f\", $a / $b }")" "$result"
done

printf '\nhow the bytes moved, in MB (all rounds):\n'
awk '/^bytes_.*(program|kernel|attached|shared)/ { sum[$1] += $2 } END { for (n in sum) { m = n; gsub("_", " ", m); printf "  %-32s %8.0f\n", m, sum[n] / 1e6 } }' \
    "$FLAC_STATS" | sort

printf '\ndurable: '
FLAC_STATS=$disk/none on_flac 'cp -a "$SOURCE/tree" . && sync .'
"$flac" sync
"$flac" stop --discard >/dev/null
FLAC_STATS=$disk/none on_flac "${proof[copy]}" >"$disk/flac.out"
(cd "$SOURCE" && bash -c "${proof[copy]}") >"$disk/tmpfs.out"
if cmp -s "$disk/tmpfs.out" "$disk/flac.out"; then
    echo "the tree is the same after all shared memory was dropped"
else
    echo "the tree is NOT the same after all shared memory was dropped"
    status=1
fi
"$flac" fsck || status=1
exit $status
