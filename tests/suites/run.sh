#!/usr/bin/env bash
# Runs a program's own test suite in the current directory, the top of its built source tree, on whatever file system that is.
# run.sh KIND RESULTS [TEST]...: writes a line "RESULT TEST" for each test that ran; named tests run one at a time.
set -uo pipefail

kind=$1
results=$2
shift 2
# A single test may take so long; the slowest takes a tenth of it alone.
limit=${SUITES_TEST_LIMIT:-240}
jobs=${SUITES_JOBS:-2}
top=$PWD

# The arguments that put a time limit around each test of automake's parallel test driver.
drivers() {
    local driver
    driver="timeout -k 5 $limit $SHELL $top/build-aux/test-driver"
    printf '%s\n' "LOG_DRIVER=$driver" "SH_LOG_DRIVER=$driver" "PL_LOG_DRIVER=$driver" "XPL_LOG_DRIVER=$driver"
}

automake_results() {
    find . -name '*.trs' -printf '%P\n' | sort | while read -r trs; do
        echo "$(sed -n 's/^:global-test-result: //p' "$trs") ${trs%.trs}"
    done
}

# The directory whose Makefile runs a test: the nearest above it.
automake_one() {
    local dir=${1%/*}
    until grep -qs am__check_pre "$dir/Makefile"; do
        case $dir in */*) dir=${dir%/*} ;; *) dir=. && break ;; esac
    done
    local log=${1#"$dir"/}.log
    rm -f "$1.log" "$1.trs"
    make -C "$dir" "${driver_args[@]}" "$log"
    cat "$1.log"
    echo "$(sed -n 's/^:global-test-result: //p' "$1.trs" 2>/dev/null) $1" >>"$results"
}

automake() {
    mapfile -t driver_args < <(drivers)
    if [ $# -gt 0 ]; then
        for test in "$@"; do automake_one "$test"; done
    else
        make -k -j"$jobs" "${driver_args[@]}" check
        automake_results >"$results"
    fi
}

# findutils: automake's tests, and those of DejaGnu, which are in its summary files.
dejagnu() {
    local own=()
    if [ $# -gt 0 ]; then
        for test in "$@"; do case $test in *.sum:*) own+=("$test") ;; *) automake "$test" ;; esac done
        [ ${#own[@]} -gt 0 ] || return
        for dir in $(printf '%s\n' "${own[@]%%/testsuite/*}" | sort -u); do make -C "$dir/testsuite" check-DEJAGNU; done
        dejagnu_results | grep -F -e "$(printf ' %s\n' "${own[@]}")" >>"$results"
    else
        automake
        dejagnu_results >>"$results"
    fi
}

dejagnu_results() {
    find . -name '*.sum' -printf '%P\n' | sort | while read -r sum; do
        sed -n -E "s|^(PASS\|FAIL\|XFAIL\|XPASS\|UNRESOLVED\|UNSUPPORTED\|UNTESTED): (.*)|\1 $sum:\2|p" "$sum" | tr '\t' ' '
    done
}

# tar: one script made by autotest. The name of a test is its number and what it says of itself.
autotest() {
    local numbers=() test
    for test in "$@"; do numbers+=("${test%%:*}"); done
    [ $# -eq 0 ] || jobs=1
    make check TESTSUITEFLAGS="-j$jobs ${numbers[*]-}"
    sed -n -E 's/^([0-9]+)\. (.*) \([^()]*\): (ok|skipped|FAILED|expected failure|UNEXPECTED PASS)( .*)?$/\3@\1:\2/p' tests/testsuite.log |
        sed -E 's/ +/_/g; s/^ok@/PASS /; s/^skipped@/SKIP /; s/^FAILED@/FAIL /; s/^expected_failure@/XFAIL /; s/^UNEXPECTED_PASS@/XPASS /' >"$results"
    [ $# -eq 0 ] || cat tests/testsuite.dir/*/testsuite.log
}

case $kind in
automake | dejagnu | autotest) : >"$results" && "$kind" "$@" ;;
*) echo "$0: no such kind of suite: $kind" >&2 && exit 2 ;;
esac
