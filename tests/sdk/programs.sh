#!/bin/sh
# programs.sh TITLE ENDING COMMAND... - the programs of programs/ with that ending, as users
# of an SDK write them: each must say what its .expected file says, and end with 0.
set -u
title=$1 ending=$2
shift 2
passed=0 failed=0
out=$(mktemp "${TMPDIR:-/tmp}/sbx-program.XXXXXX") || exit 1
trap 'rm -f "$out" "$out.err"' EXIT
for program in tests/sdk/programs/*."$ending"; do
    name=$(basename "$program" ".$ending")
    timeout 40 "$@" "$program" >"$out" 2>"$out.err"
    code=$?
    if [ $code = 134 ] && cmp -s "$out" "tests/sdk/programs/$name.expected"; then
        # Rare: the native part of the SDK aborts while Python ends.
        echo "note: $title program $name did all its work, then aborted; it is run once more"
        timeout 40 "$@" "$program" >"$out" 2>"$out.err"
        code=$?
    fi
    if [ $code = 0 ] && cmp -s "$out" "tests/sdk/programs/$name.expected"; then
        passed=$((passed + 1))
        [ -z "${SDK_VERBOSE:-}" ] || echo "ok     $title program $name"
    else
        failed=$((failed + 1))
        echo "FAILED $title program $name (exit code $code):"
        diff "tests/sdk/programs/$name.expected" "$out"
        tail -n 3 "$out.err"
    fi
done
echo "checks $title programs: $passed passed, $failed failed"
[ $failed = 0 ]
