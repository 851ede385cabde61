#!/usr/bin/env bash
# Exercisers that others wrote, and one of ours, on tmpfs and on FLAC: what passes on tmpfs must pass on FLAC, but for what
# tests/exercisers/differs.txt lists with a reason.
#
# usage: ci/exercisers.sh [--quick] [shared|tree|fsx|stress|python|posix]...
#   shared  processes on one file, each operation checked against a model (tests/exercisers/shared.c)
#   tree    one process in a tree, which must answer as on tmpfs; four of them, whose tree must be sound and outlive a restart (tests/exercisers/tree.c)
#   fsx     the crate of that name: one process, every kind of operation it knows
#   stress  stress-ng's file system stressors with --verify
#   python  CPython's own tests of files, processes, locks, archives (Debian's libpython3.N-testsuite)
#   posix   the crate pjdfstest, as root
# What checks itself (shared, fsx) runs on tmpfs only where it fails on FLAC. --quick: less than a minute, and only what needs no installation. SEEDS=N and OPERATIONS=N change shared, tree and fsx, FLAC_SEED the first seed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

quick=
[ "${1:-}" != --quick ] || { quick=1; shift; }
parts=("$@")
[ ${#parts[@]} -gt 0 ] || { [ -n "$quick" ] && parts=(shared tree) || parts=(shared tree fsx stress python posix); }

cargo build --quiet --release -p flac-shim -p flac-cli
target=$PWD/${CARGO_TARGET_DIR:-target}
flac=$target/release/flac
tools=$target/exercisers
lists=$PWD/tests/exercisers
mkdir -p "$tools/bin"
work=$(mktemp -d)
tmpfs=$(mktemp -d /dev/shm/flac-exercisers.XXXXXX)
chmod 755 "$work" "$tmpfs"
export FLAC_POOL=$work/pool FLAC_ROOT=/flac FLAC_DRAM=${FLAC_DRAM:-1G}
# An exerciser that was stopped (stress-ng's chattr) leaves files that not even root can remove.
mutable() { chattr -R -ia "$tmpfs" >/dev/null 2>&1 || true; }
finish() {
    "$flac" stop --discard --force >/dev/null 2>&1 || true
    mutable
    chmod -R u+rwx "$work" "$tmpfs" 2>/dev/null || true
    rm -rf "$work" "$tmpfs"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$flac" mkfs --size 4G >/dev/null
first=${FLAC_SEED:-1}
failures=0

# on_tmpfs|on_flac SECONDS PROGRAM...: in a fresh directory there, which is its working directory and TMPDIR.
on_tmpfs() {
    local limit=$1 status=0; shift
    mutable
    rm -rf "$tmpfs/d"; mkdir "$tmpfs/d"
    (cd "$tmpfs/d" && DIR=$PWD TMPDIR=$PWD timeout --kill-after=5 "$limit" "$@" </dev/null) >"$work/tmpfs.out" 2>&1 || status=$?
    return $status
}
on_flac() {
    local limit=$1 status=0; shift
    timeout --kill-after=5 "$limit" "$flac" run -- bash -c 'rm -rf /flac/d; mkdir /flac/d && cd /flac/d && DIR=$PWD TMPDIR=$PWD exec "$@"' bash "$@" </dev/null >"$work/flac.out" 2>&1 || status=$?
    return $status
}
# differs PART NAME: the reason why FLAC is known to differ there, if it is. Names in the list may be patterns of the shell.
differs() {
    local part name reason
    while IFS=$'\t' read -r part name reason; do
        # shellcheck disable=SC2053
        if [ "$part" = "$1" ] && [[ $2 == $name ]]; then echo "$reason"; return; fi
    done <"$lists/differs.txt"
    return 1
}
# judge PART NAME TMPFS_STATUS FLAC_STATUS
judge() {
    local reason
    if [ "$3" != 0 ]; then
        echo "$1 $2: not judged, it fails on tmpfs ($3)"
    elif [ "$4" = 0 ]; then
        echo "$1 $2: ok"
    elif reason=$(differs "$1" "$2"); then
        echo "$1 $2: differs: $reason"
    else
        echo "$1 $2: FAILED ($4)"
        tail -n 30 "$work/flac.out" | cut -c1-300
        failures=$((failures + 1))
    fi
}
# both PART NAME SECONDS PROGRAM...
both() {
    local part=$1 name=$2 limit=$3 a=0 b=0; shift 3
    on_tmpfs "$limit" "$@" || a=$?
    [ $a != 0 ] || on_flac "$((2 * limit))" "$@" || b=$?
    judge "$part" "$name" $a $b
}
# alone PART NAME SECONDS PROGRAM...: as both, for programs that check themselves: only where one fails, tmpfs is asked.
alone() {
    local part=$1 name=$2 limit=$3 a=0 b=0; shift 3
    on_flac "$((2 * limit))" "$@" || b=$?
    [ $b = 0 ] || on_tmpfs "$limit" "$@" || a=$?
    judge "$part" "$name" $a $b
}
crate() { [ -x "$tools/bin/$1" ] || cargo install --quiet --locked --root "$tools" "$1@$2"; }

shared() {
    cc -O2 -Wall -Wextra -o "$tools/bin/shared" tests/exercisers/shared.c
    local seed seeds=${SEEDS:-20} operations=${OPERATIONS:-50000}
    [ -z "$quick" ] || { seeds=${SEEDS:-3} operations=${OPERATIONS:-6000}; }
    for ((seed = first; seed < first + seeds; seed++)); do
        alone shared "together, seed $seed" 1800 "$tools/bin/shared" f "$seed" "$operations" 2 together
        alone shared "together, three processes, seed $seed" 1800 "$tools/bin/shared" f "$seed" "$operations" 3 together
        alone shared "apart, seed $seed" 1800 "$tools/bin/shared" f "$seed" "$operations" 2 apart
    done
}

tree() {
    cc -O2 -Wall -Wextra -o "$tools/bin/tree" tests/exercisers/tree.c
    local seed seeds=${SEEDS:-20} operations=${OPERATIONS:-20000} status
    [ -z "$quick" ] || { seeds=${SEEDS:-3} operations=${OPERATIONS:-4000}; }
    for ((seed = first; seed < first + seeds; seed++)); do
        # shellcheck disable=SC2016
        both tree "answers, seed $seed" 300 bash -c '"$@" && "$1" "$2"' bash "$tools/bin/tree" . "$seed" "$operations" 1
        cmp "$work/tmpfs.out" "$work/flac.out" || { echo "tree seed $seed: FAILED, other answers"; failures=$((failures + 1)); }
        status=0
        # shellcheck disable=SC2016
        on_flac 600 bash -c '"$@" && "$1" "$2"' bash "$tools/bin/tree" . "$seed" "$((operations / 4))" 4 || status=$?
        judge tree "four processes, seed $seed" 0 $status
        cp "$work/flac.out" "$work/before"
        "$flac" stop >/dev/null
        "$flac" fsck --data >"$work/flac.out" || judge tree "check, seed $seed" 0 1
        "$flac" run -- "$tools/bin/tree" /flac/d >"$work/flac.out" 2>&1 || true
        cmp "$work/before" "$work/flac.out" || { echo "tree seed $seed: FAILED, not the same after a restart"; failures=$((failures + 1)); }
    done
}

fsx() {
    crate fsx 0.3.2
    local seed config
    for config in large small; do
        for ((seed = first; seed < first + ${SEEDS:-20}; seed++)); do
            alone fsx "$config, seed $seed" 1800 "$tools/bin/fsx" -f "$lists/fsx-$config.toml" -N "${OPERATIONS:-50000}" -S "$seed" f
        done
    done
}

stress() {
    command -v stress-ng >/dev/null || apt_install stress-ng || { echo "stress: skipped"; return; }
    local name options
    while read -r name options; do
        # shellcheck disable=SC2086
        both stress "$name" 60 bash -c 'exec stress-ng --temp-path "$DIR" "$@"' bash --"$name" 2 $options --timeout "${SECONDS_EACH:-3}" --verify --oomable
    done < <(grep -v '^#' "$lists/stressors.txt")
}

python() {
    local version test
    version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    /usr/bin/python3 -c 'import test.test_os' 2>/dev/null || apt_install "libpython$version-testsuite" || { echo "python: skipped"; return; }
    while read -r test; do
        both python "$test" 300 bash -c 'exec /usr/bin/python3 -m test --tempdir "$DIR" '"$test"
        # Where tests of a file are known to differ, exactly these must.
        if [ -s "$work/flac.out" ] && differs python "$test" >/dev/null; then
            on_flac 600 bash -c 'exec /usr/bin/python3 -m test -v --tempdir "$DIR" '"$test" || true
            { grep -aE '^(FAIL|ERROR): ' "$work/flac.out" || true; } | awk '{ print $2 }' | sort -u | while read -r name; do
                differs python "$test.$name" >/dev/null || { echo "python $test.$name: FAILED"; touch "$work/unlisted"; }
            done
        fi
    done < <(grep -v '^#' "$lists/python.txt")
    if [ -e "$work/unlisted" ]; then failures=$((failures + 1)); fi
}

posix() {
    [ "$(id -u)" = 0 ] || { echo "posix: skipped, not root"; return; }
    dpkg -s libacl1-dev acl >/dev/null 2>&1 || apt_install libacl1-dev acl || true
    crate pjdfstest 0.2.2
    on_tmpfs 300 bash -c 'chmod 1777 . && exec "$@" -p "$DIR"' bash "$tools/bin/pjdfstest" -c "$lists/pjdfstest.toml" || true
    grep -E '^[a-z_:]+ +ok$' "$work/tmpfs.out" | awk '{ print $1 }' | sort >"$work/passed"
    on_flac 600 bash -c 'chmod 1777 . && exec "$@" -p "$DIR"' bash "$tools/bin/pjdfstest" -c "$lists/pjdfstest.toml" || true
    grep -E '^[a-z_:]+ +FAILED$' "$work/flac.out" | awk '{ print $1 }' | sort >"$work/failed"
    echo "posix: $(wc -l <"$work/passed") pass on tmpfs, $(grep -cE '^[a-z_:]+ +ok$' "$work/flac.out") on FLAC"
    local name
    while read -r name; do judge posix "$name" 0 1; done < <(comm -12 "$work/passed" "$work/failed")
}

for part in "${parts[@]}"; do
    case $part in
    shared | tree | fsx | stress | python | posix) "$part" ;;
    *) echo "no exerciser is called $part" >&2; exit 2 ;;
    esac
done
# What an exerciser started may take a moment to end (pjdfstest's programs sleep).
for ((i = 0; i < 50; i++)); do ! "$flac" stop >/dev/null 2>&1 || break; sleep 0.2; done
"$flac" stop >/dev/null
"$flac" fsck --data || failures=$((failures + 1))
[ $failures = 0 ] && echo "exercisers: all as on tmpfs" || { echo "exercisers: $failures failed"; exit 1; }
