#!/usr/bin/env bash
# Everything that CI checks, in order; each script runs alone, too. Ends with a summary; exit status 1 if one failed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

ci/setup.sh
# The longest that one script may take: a hang must not eat the time of the others.
limit=1500
failed=()
lines=()
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# What one that failed has printed last is printed again at the end, where it is found.
step() {
    local start=$SECONDS result=ok
    echo "==> $*"
    timeout --kill-after=10 "$limit" "$@" > >(tee "$logs/$(basename "$1")") 2>&1 || { result="FAILED ($?)"; failed+=("$1"); }
    lines+=("$(printf '%-16s %5d s  %s' "$(basename "$1")" $((SECONDS - start)) "$result")")
}
step ci/lint.sh
step ci/test.sh
step ci/hooks.sh
step ci/posix.sh
step ci/programs.sh
step ci/exercisers.sh --quick
step ci/crash.sh
step ci/mount.sh
step ci/bench.sh --test
for script in ${failed[@]+"${failed[@]}"}; do
    printf '\n==> the end of %s\n' "$script"
    tail -n 80 "$logs/$(basename "$script")"
done
printf '\n%s\n' "${lines[@]}"
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}"
    exit 1
fi
echo "all passed"
