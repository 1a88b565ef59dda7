#!/bin/sh
# fuzz.sh run SECONDS    - libFuzzer on every target, so many seconds each, from its
#                          corpus; what it finds stays in $BUILD/fuzz/ (needs clang)
# fuzz.sh replay         - the corpora under this compiler's sanitizers
# fuzz.sh minimize       - what was found in runs, cut down, becomes the corpora
# FUZZ=json names one target; JOBS run at a time.
set -u
dir=${BUILD:-build}/fuzz
targets=${FUZZ:-$(for f in tests/fuzz/*_fuzz.c; do basename "$f" _fuzz.c; done)}
jobs=${JOBS:-2}
wrap=-Wl,--wrap=__sanitizer_cov_trace_pc
common="-std=gnu99 -w -I. $wrap"
mkdir -p "$dir"

build_fuzzers() {
    clang=${CLANG:-clang}
    san="-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"
    echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return !p && n; }' >"$dir/probe.c"
    $clang $san -o "$dir/probe" "$dir/probe.c" 2>/dev/null || return 1
    for t in $targets; do
        echo "$clang $common -g -O1 $san -fsanitize-coverage=trace-pc -o $dir/$t tests/fuzz/${t}_fuzz.c"
    done | xargs -P "$jobs" -I{} sh -c '{}'
}

case ${1:-} in
run)
    build_fuzzers || { echo "fuzz: skipped (no clang with libFuzzer)"; exit 0; }
    for t in $targets; do
        mkdir -p "$dir/new/$t" "tests/fuzz/corpus/$t"
        echo "$t"
    done | xargs -P "$jobs" -I{} sh -c "$dir/{} -max_total_time=$2 -timeout=20 -rss_limit_mb=2048 \
        -max_len=4096 -artifact_prefix=$dir/crash-{}- $dir/new/{} tests/fuzz/corpus/{} \
        >$dir/{}.log 2>&1 || echo {} >>$dir/failed.tmp"
    for t in $targets; do
        awk -v t="$t" '/^#[0-9]+/ { n = $1; cov = $4 } END { sub(/#/, "", n)
            printf "fuzz %-9s %10d inputs, %5d edges\n", t, n, cov }' "$dir/$t.log"
    done
    [ -f "$dir/failed.tmp" ] || { echo "fuzz: ok"; exit 0; }
    for t in $(cat "$dir/failed.tmp"); do echo "--- $t"; tail -40 "$dir/$t.log"; done
    rm -f "$dir/failed.tmp"
    echo "fuzz: a target failed; its input is $dir/crash-TARGET-..."
    exit 1 ;;
replay)
    san=$(cat "${BUILD:-build}/san" 2>/dev/null)
    echo 'void __wrap___sanitizer_cov_trace_pc(void) {} int main(void) { return 0; }' >"$dir/probe.c"
    steps=-fsanitize-coverage=trace-pc
    ${CC:-cc} $steps $wrap -o "$dir/probe" "$dir/probe.c" 2>/dev/null || steps=
    for t in $targets; do # to build them takes longer than to run them
        echo "${CC:-cc} $common -g1 -O0 $san $steps -DFUZZ_REPLAY -o $dir/$t.replay tests/fuzz/${t}_fuzz.c"
    done | xargs -P "$jobs" -I{} sh -c '{}' || exit 1
    rc=0
    for t in $targets; do
        if out=$(timeout 120 "$dir/$t.replay" tests/fuzz/corpus/"$t"/* 2>&1); then
            echo "fuzz $t: ok ($(echo "$out" | awk 'END { print $1 }') tests)"
        else
            echo "$out" | tail -30
            echo "FAILED fuzz $t"
            rc=1
        fi
    done
    exit $rc ;;
minimize)
    build_fuzzers || exit 1
    for t in $targets; do
        rm -rf "$dir/least/$t"
        mkdir -p "$dir/least/$t" "$dir/new/$t"
        "$dir/$t" -merge=1 -use_counters=0 -max_len=2048 "$dir/least/$t" "tests/fuzz/corpus/$t" \
            "$dir/new/$t" >"$dir/$t.merge" 2>&1 || { tail -20 "$dir/$t.merge"; exit 1; }
        rm -rf "tests/fuzz/corpus/$t"
        cp -r "$dir/least/$t" "tests/fuzz/corpus/$t"
        echo "$t: $(ls "tests/fuzz/corpus/$t" | wc -l) inputs, $(cat tests/fuzz/corpus/"$t"/* | wc -c) bytes"
    done ;;
*) sed -n '2,6p' "$0"; exit 1 ;;
esac
