#!/usr/bin/env bash
# The GNU programs' own test suites with everything in FLAC, compared with the same suites on tmpfs in the same run.
# Arguments choose suites; SUITES_USER=root runs them as root instead of a normal user; SUITES_TESTS="NAME..." runs those tests alone.
# SUITES_SIDES="flac outside" runs them also on the tmpfs with the shim preloaded and FLAC_ROOT somewhere else; mounted is in FLAC with the pool mounted there,
# too, for static programs, as sed is run where there is FUSE. Fails if a test that passes on tmpfs fails on such a side and is not in
# tests/suites/SUITE.differs (its first column: normal, root or any user in FLAC, or outside, or mounted), or if one that is there passes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

user=${SUITES_USER:-normal}
read -ra tests <<<"${SUITES_TESTS:-}"
suites=("$@")
[ $# -gt 0 ] || suites=(coreutils grep sed diffutils findutils tar gzip)
cache=$PWD/target/suites
mkdir -p "$cache"

kind_of() {
    case $1 in
    coreutils | grep | sed | diffutils | gzip) echo automake ;;
    findutils) echo dejagnu ;;
    tar) echo autotest ;;
    *) echo "no such suite: $1" >&2 && exit 2 ;;
    esac
}

# Debian's source packages from the mirror that the machine uses, by a package list of our own, so that its configuration is left alone.
fetch() {
    compgen -G "$cache/$1_*.orig.tar.?z" >/dev/null && return
    local apt=$cache/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg site
    [ -e "$keys" ] || apt_install debian-archive-keyring
    if [ ! -e "$apt/apt.conf" ]; then
        mkdir -p "$apt"/{lists,cache/archives}/partial
        site=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' 'Component: main' | head -n 1)
        [ -n "$site" ] || { echo "apt knows no mirror of Debian (after apt-get update)" >&2 && exit 1; }
        echo "deb-src [signed-by=$keys] $site bookworm main" >"$apt/sources.list"
        cat >"$apt/apt.conf" <<END
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "$(id -un)";
END
        APT_CONFIG=$apt/apt.conf apt-get update -qq
    fi
    (cd "$cache" && APT_CONFIG=$apt/apt.conf apt-get source -qq --download-only "$1" >/dev/null)
}

# A suite lies at the same path on both sides: a built tree knows where it is.
base=/dev/shm/flac-suites
# Root has a tmpfs of its own, which others can't fill, and which goes with this process.
if [ "$(id -u)" = 0 ]; then
    [ -n "${SUITES_PRIVATE-}" ] || exec unshare --mount env SUITES_PRIVATE=1 "$0" "$@"
    mkdir -p "$base"
    mount -t tmpfs -o size=6G,mode=755 flac-suites "$base"
fi
tree=$base/w
exec 9>"$cache/lock"
flock 9
pools=$(mktemp -d "${TMPDIR:-/var/tmp}/flac-suites-XXXXXX")
stop_pool() {
    unmount
    [ ! -d "$pools/pool" ] || { "$base/bin/flac" stop --force --discard --pool "$pools/pool" >/dev/null 2>&1 || true; }
    rm -rf "$pools/pool"
}
unmount() {
    # A test may have left a process there.
    ! mountpoint -q "$tree" || "$base/bin/flac" mount --unmount "$tree" || umount --lazy "$tree"
}
cleanup() {
    stop_pool
    rm -rf "$pools"
    rm -rf "${base:?}"/*
    # The server of a mount may still be on its way out.
    if [ "$(id -u)" = 0 ]; then umount --lazy "$base"; fi
    rmdir "$base"
}
trap cleanup EXIT

# Runs a command as the user of this run with a fixed environment; assignments may come first.
as_user() {
    local drop=()
    if [ "$(id -u)" = 0 ] && [ "$user" = normal ]; then
        drop=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    elif [ "$(id -u)" != 0 ] && [ "$user" = root ]; then
        echo "SUITES_USER=root needs root rights" >&2 && exit 2
    fi
    "${drop[@]}" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SHELL=/bin/bash HOME="$base/home" \
        TMPDIR="$tree/tmp" LC_ALL=C FORCE_UNSAFE_CONFIGURE=1 SUITES_JOBS="${SUITES_JOBS:-2}" "$@"
}
on_tmpfs() { as_user "$@"; }
in_flac() { as_user LD_PRELOAD="$base/bin/libflacshim.so" FLAC_ROOT="$tree" FLAC_POOL="$pools/pool" "$@"; }
on_flac() { in_flac FLAC_DRAM=3G "$@"; }
# Small, as valgrind's search for leaks reads the whole cache, control segment and index, which then have memory: 4 GB of /dev/shm, 19 with a pool of 16 GB.
# Valgrind maps a file of its own in TMPDIR, shared, which a mount refuses.
on_mounted() { in_flac FLAC_DRAM=256M TMPDIR="$base/home" "$@"; }
on_outside() { as_user LD_PRELOAD="$base/bin/libflacshim.so" FLAC_ROOT=/flac FLAC_POOL="$pools/pool" FLAC_DRAM=1G "$@"; }

# The built tree of a suite, as an archive: building takes longer than testing.
build() {
    [ -e "$cache/$1.built.tar" ] && return
    fetch "$1"
    echo "building $1"
    command -v runtest >/dev/null || apt_install dejagnu || true
    mkdir -p "$tree/$1"
    tar -xf "$cache/$1"_*.orig.tar.?z -C "$tree/$1" --strip-components=1
    chown -R "$(stat -c %u:%g "$tree")" "$tree/$1"
    # shellcheck disable=SC2016
    as_user mkdir -p "$tree/tmp"
    as_user sh -ec 'cd "$1"
        ./configure -q --disable-nls --disable-dependency-tracking CFLAGS="-O0 -w"
        make -s -j2
        make -k -s -j2 check TESTS= TESTSUITEFLAGS=--version || true' sh "$tree/$1" \
        >"$cache/$1.build.log" 2>&1 || { tail "$cache/$1.build.log"; echo "can't build $1"; return 1; }
    tar -cf "$cache/$1.built.tar" -C "$tree" "$1"
    rm -rf "${tree:?}/$1"
}

# A fresh tree at the same path: first in the kernel's tmpfs, then in a fresh pool, which an empty directory is the mount point of.
place() {
    rm -rf "$tree" "$base/w.tmpfs"
    as_user mkdir -p "$tree/tmp"
    as_user tar -xf "$cache/$1.built.tar" --no-same-owner -C "$tree"
}
new_pool() {
    stop_pool
    # One of tar's tests makes 10 GB.
    as_user "$base/bin/flac" mkfs --size "${1-16G}" --pool "$pools/pool" >/dev/null
    # Root's tests become other users, and who may use a pool is decided by its directory.
    [ "$user" != root ] || chmod -R a+rwX "$pools/pool"
}
into_outside() {
    new_pool
    place "$1"
}
# SUITE [SIZE OF THE POOL [CACHE]]
into_flac() {
    new_pool "${2-16G}"
    place "$1"
    as_user FLAC_DRAM="${3-3G}" "$base/bin/flac" import --pool "$pools/pool" "$tree" / >/dev/null
    to_flac
}
into_mounted() {
    into_flac "$1" 512M 256M
    mount_pool
}
# By root where it can be, as users may not have the right to /dev/fuse.
mount_pool() {
    local others=()
    [ "$(id -u)" != 0 ] || others=(--allow-other)
    FLAC_DRAM=256M "$base/bin/flac" mount "${others[@]}" --pool "$pools/pool" "$tree"
}
sides_of() {
    if [ -n "${SUITES_SIDES-}" ]; then
        echo "$SUITES_SIDES"
    elif [ "$1" = sed ] && [ -w /dev/fuse ]; then
        echo flac mounted
    else
        echo flac
    fi
}
# The tree on the tmpfs and that in FLAC have the same path: which of them is seen there.
to_flac() {
    mv "$tree" "$base/w.tmpfs"
    as_user mkdir "$tree"
}
to_tmpfs() {
    unmount
    rmdir "$tree"
    mv "$base/w.tmpfs" "$tree"
}

# Runs a suite, or the named tests of it: SIDE SUITE RESULTS [TEST]...
run() {
    local side=$1 suite=$2 results=$3
    shift 3
    # What an earlier side has left is not this one's result.
    : >"$base/results"
    # shellcheck disable=SC2016
    "on_$side" timeout -k 10 "${SUITES_LIMIT:-3000}" bash -c 'cd "$1" && shift && exec bash "$@"' bash "$tree/$suite" \
        "$base/bin/run.sh" "$(kind_of "$suite")" "$base/results" "$@" </dev/null >>"$cache/$suite.$user.$side.log" 2>&1 || true
    cp "$base/results" "$results"
}

# The tests of the second file that did not pass, though they did in the first.
differing() {
    awk 'FILENAME == ARGV[1] { if ($1 == "PASS" || $1 == "XFAIL") passed[substr($0, length($1) + 2)]; next }
        $1 == "PASS" || $1 == "XFAIL" { delete passed[substr($0, length($1) + 2)] }
        END { for (test in passed) print test }' "$1" "$2" | sort
}
passed() { grep -cE '^(PASS|XFAIL) ' "$1" || true; }

failures=0
# SIDE SUITE
compare() {
    local side=$1 suite=$2 tmpfs=$cache/$2.$user.tmpfs other=$cache/$2.$user.$1 listed=tests/suites/$2.differs
    local differs=() known again=()
    mapfile -t differs < <(differing "$tmpfs" "$other")
    # A busy machine makes tests miss their times: what differs is tried again alone, then on tmpfs alone.
    if [ ${#differs[@]} -gt 0 ]; then
        run "$side" "$suite" "$other.again" "${differs[@]}"
        mapfile -t again < <(differing <(printf 'PASS %s\n' "${differs[@]}") "$other.again")
        if [ ${#again[@]} -gt 0 ]; then
            [ "$side" = outside ] || to_tmpfs
            run tmpfs "$suite" "$tmpfs.again" "${again[@]}"
            [ "$side" = outside ] || to_flac
            [ "$side" != mounted ] || mount_pool
            mapfile -t again < <(differing "$tmpfs.again" "$other.again")
        fi
    fi
    touch "$listed"
    known=$(awk -F'\t' -v user="$user" -v side="$side" '
        side == "flac" ? $1 == user || $1 == "any" : $1 == side { print $2 }' "$listed" | sort)
    [ ${#tests[@]} = 0 ] || known=$(comm -12 <(echo "$known") <(printf '%s\n' "${tests[@]}" | sort))
    local total new gone
    total=$(passed "$tmpfs")
    new=$(comm -13 <(echo "$known") <(printf '%s\n' "${again[@]}" | sort) | sed '/^$/d')
    gone=$(comm -23 <(echo "$known") <(printf '%s\n' "${again[@]}" | sort) | sed '/^$/d')
    printf '%-10s %-6s passed on tmpfs %4d, %-7s %4d (%s %%), differing and listed %d\n' "$suite" "$user" "$total" "$side" \
        $((total - ${#again[@]})) "$(awk -v t="$total" -v d=${#again[@]} 'BEGIN { printf "%.2f", t ? 100 * (t - d) / t : 0 }')" \
        $((${#again[@]} - $(grep -c . <<<"$new" || true)))
    [ -z "$new" ] || { failures=$((failures + 1)) && sed 's/^/    differs: /' <<<"$new"; }
    [ -z "$gone" ] || { failures=$((failures + 1)) && sed 's/^/    listed, but passes: /' <<<"$gone"; }
    [ "$total" -gt 0 ] || { failures=$((failures + 1)) && echo "    nothing passed on tmpfs: $cache/$suite.$user.tmpfs.log"; }
}

cargo build --quiet --release -p flac-shim -p flac-cli
rm -rf "${base:?}"/*
mkdir -p "$base/bin" "$tree" "$base/home"
chmod 755 "$pools"
cp target/release/libflacshim.so target/release/flac tests/suites/run.sh "$base/bin/"
touch "$base/results"
if [ "$(id -u)" = 0 ] && [ "$user" = normal ]; then
    chown -R 65534:65534 "$base" "$pools"
fi
for suite in "${suites[@]}"; do
    build "$suite"
    rm -f "$cache/$suite.$user".*.log
    place "$suite"
    run tmpfs "$suite" "$cache/$suite.$user.tmpfs" "${tests[@]}"
    for side in $(sides_of "$suite"); do
        "into_$side" "$suite"
        run "$side" "$suite" "$cache/$suite.$user.$side" "${tests[@]}"
        compare "$side" "$suite"
    done
    # The last side may lie mounted where the next suite's tree will.
    stop_pool
done
[ $failures = 0 ]
