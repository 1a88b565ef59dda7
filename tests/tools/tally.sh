#!/bin/sh
# tally.sh [-t SECONDS] [-p N] COMMAND... - runs each command (a line for sh), shows its
# output, and ends with the sum of their closing lines: "N passed, N failed, N
# skipped"; a golden line counts its cases, a "cross" line its tests, another
# "...: ok" one, "...: skipped (why)" one skipped. A command without any of them
# counts as one; one that ends badly counts as a failure even if it hides it.
# -p: N run at a time, and their output comes when all have ended.
set -u
limit=1500 jobs=
[ "${1:-}" = -t ] && { limit=$2; shift 2; }
[ "${1:-}" = -p ] && { jobs=$2; shift 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/tally.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0 skipped=0 broken= number=0

cat >"$work/run" <<'END'
# LIMIT COMMAND WHERE: its output comes out, its status and seconds go to WHERE.rc, WHERE.took
began=$(date +%s)
timeout -k 10 "$1" sh -c "$2" 2>&1 </dev/null
echo $? >"$3.rc"
echo $(($(date +%s) - began)) >"$3.took"
END
if [ -n "$jobs" ]; then
    for command in "$@"; do
        number=$((number + 1))
        printf '%s' "$command" >"$work/$number.command"
        echo $number
    done | xargs -P "$jobs" -I% sh -c \
        'sh "$0/run" "$1" "$(cat "$0/%.command")" "$0/%" >"$0/%.out"' "$work" "$limit"
fi

number=0
for command in "$@"; do
    number=$((number + 1)) out=$work/$number.out
    echo "--- $command"
    if [ -n "$jobs" ]; then cat "$out"
    else sh "$work/run" "$limit" "$command" "$work/$number" | tee "$out"
    fi
    rc=$(cat "$work/$number.rc") took=$(cat "$work/$number.took")
    [ "$rc" = 124 ] && echo "tally: ended after $limit s: $command"
    counts=$(awk -v rc="$rc" '
        /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p = $1; f = $3; s = $5; whole = 1 }
        /^golden [a-z0-9_]+: [0-9]+\/[0-9]+$/ { split($3, n, "/"); gp += n[1]; gf += n[2] - n[1]; some = 1 }
        /^[a-z0-9 _-]+: ok( \([0-9]+ tests\)| \([0-9]+ s\))?$/ {
            gp += $0 ~ / tests\)$/ ? substr($(NF - 1), 2) : 1; some = 1 }
        /^[a-z0-9 _-]+: skipped \(.*\)$/ { gs++; some = 1 }
        END {
            if (!whole) { p = gp + 0; f = gf + 0; s = gs + 0 }
            if (rc != 0 && f == 0) f = 1
            if (!whole && !some && rc == 0) p = 1
            print p, f, s
        }' "$out")
    set -- $counts
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    [ "$2" = 0 ] || broken="$broken
    $command"
    [ $took -lt 5 ] || echo "    ($took s)"
done
[ -z "$broken" ] || echo "failed:$broken"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
