#!/bin/sh
# coverage.sh - lines and branches of sandbox_impl/ that the unit, golden and fault
# tests reach, by gcc's own counters. The parser modules must be whole: every line,
# every way of every branch. A branch that cannot be taken is removed, not excused.
#     COVERAGE_SHOW=json/read  lists what is missing there (all parsers without it)
set -u
CC=${COVERAGE_CC:-gcc}
dir=${BUILD:-build}/coverage
command -v "$CC" >/dev/null 2>&1 || { echo "coverage: skipped (no $CC)"; exit 0; }
command -v gcov >/dev/null 2>&1 || { echo "coverage: skipped (no gcov)"; exit 0; }

# The tests, beside a header that names the modules its lines come from.
rm -rf "$dir"
mkdir -p "$dir/tests" "$dir/bin" || exit 1
cp -r sandbox_impl "$dir/"
cp -r tests/unit tests/golden tests/fault tests/fuzz tests/live tests/peer tests/test.h "$dir/tests/"
LC_ALL=C awk -v dir=sandbox_impl -v lines=1 -f sandbox_impl/amalgamate.awk \
    sandbox_impl/sandbox_all.h >"$dir/sandbox.h" || exit 1

flags="-std=gnu99 -O0 -w --coverage -I$dir -I$dir/tests"
tls="${TLS_LIBS:--lmbedtls -lmbedx509 -lmbedcrypto} -lpthread"
commands=$dir/commands
: >"$commands"
build() { # NAME SOURCE... : one program and its counters, in a folder of its own
    name=$1; shift
    mkdir -p "$dir/bin/$name"
    echo "$CC $flags -o $dir/bin/$name/run $* $tls" >>"$commands"
}
for t in tests/unit/*_test.c tests/fault/*_test.c; do
    name=$(basename "$t" .c)
    build "$name" "$dir/$t"
    # The narrow loops too: the same tests without the wide ones.
    case $name in json_test|codec_test|corpus_test) build "$name.narrow" -DSBX_NO_SWAR "$dir/$t" ;; esac
done
build golden "$dir"/tests/golden/*.c
echo "coverage: building $(wc -l <"$commands") programs"
xargs -P "${JOBS:-2}" -I{} sh -c '{}' <"$commands" || { echo "coverage: a program does not build"; exit 1; }

bad=
for run in "$dir"/bin/*/run; do
    name=$(basename "$(dirname "$run")")
    set -- "$run"
    [ "$name" != golden ] || set -- sh tests/tools/golden.sh "$run" "" ""
    timeout 300 "$@" >"$(dirname "$run")/out" 2>&1 || {
        bad=1
        echo "coverage: $name fails:"
        grep -v '^skipped' "$(dirname "$run")/out" | tail -5
    }
done
[ -z "$bad" ] || exit 1
for d in "$dir"/bin/*; do
    (cd "$d" && gcov --branch-probabilities --json-format --stdout ./*.gcda) >"$d/gcov.json" \
        2>/dev/null || { echo "coverage: gcov fails on $d"; exit 1; }
done
exec python3 tests/tools/coverage.py tests/budget/coverage "${COVERAGE_SHOW:-}" "$dir"/bin/*/gcov.json
