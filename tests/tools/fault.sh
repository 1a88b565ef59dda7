#!/bin/sh
# fault.sh SEED|all - everything that can fail does: unit scenarios, the recorded cases
# of every provider, also in pairs, and scenarios on a live sandboxd. With "all" a process
# a core does its share of them, but of pairs, else a sample is chosen by SEED. The last
# line is the sum.
set -u
build=${BUILD:-build}
seed=$1
many=${FAULT_MANY:-12000} # of recorded cases, all providers together
jobs=1
pairs=3000 # likewise
chance=$seed
if [ "$seed" = all ]; then
    jobs=${FAULT_JOBS:-$(getconf _NPROCESSORS_ONLN || echo 1)}
    pairs=100000
    chance=$(date +%s)
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/fault.XXXXXX") || exit 1
pids=
trap 'rm -rf "$dir"' EXIT
trap 'kill $pids 2>/dev/null; wait; exit 1' HUP INT TERM
rc=0
run() {
    i=0 pids=
    while [ $i -lt "$jobs" ]; do
        SBX_FAULT=$seed SBX_SHARD=$i/$jobs "$@" >"$dir/part$i" &
        pids="$pids $!"
        i=$((i + 1))
    done
    for pid in $pids; do wait "$pid" || rc=1; done
    pids=
    cat "$dir"/part* | tee -a "$dir/all"
}

[ "$seed" = all ] || echo "fault: SEED=$seed repeats these injections"
for program in "$build"/fault/*_test; do
    [ -x "$program" ] && run "$program"
done
set -- tests/golden/*.calls
for calls in "$@"; do
    run "$build/golden" --fault "$seed" --many $((many / $#)) "${calls%.calls}.jsonl" "$calls"
    run "$build/golden" --fault "$chance" --many $((pairs / $#)) --pairs "${calls%.calls}.jsonl" "$calls"
done
run sh tests/fault/live.sh "$seed" 200
set -- $(awk '/^fault( [a-z0-9_]+)?: [0-9]+ injections, [0-9]+ failed$/ {
    n += $(NF - 3); f += $(NF - 1) } END { print n + 0, f + 0 }' "$dir/all")
[ $rc = 0 ] || [ "$2" != 0 ] || set -- "$1" 1 # one that hides its failure
echo "fault: $1 injections, $2 failed"
[ $rc = 0 ] && [ "$1" != 0 ] && [ "$2" = 0 ]
