#!/bin/sh
# tally.sh [-t SECONDS] COMMAND... - runs each command (a line for sh), shows its
# output, and ends with the sum of their closing lines: "N passed, N failed, N
# skipped"; a golden line counts its cases, a "cross" line its tests, another
# "...: ok" one, "...: skipped (why)" one skipped. A command without any of them
# counts as one; one that ends badly counts as a failure even if it hides it.
set -u
limit=1500
[ "${1:-}" = -t ] && { limit=$2; shift 2; }
out=$(mktemp "${TMPDIR:-/tmp}/tally.XXXXXX") || exit 1
trap 'rm -f "$out" "$out.rc"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0 skipped=0 broken=

for command in "$@"; do
    began=$(date +%s)
    echo "--- $command"
    { timeout -k 10 "$limit" sh -c "$command" 2>&1; echo $? >"$out.rc"; } </dev/null | tee "$out"
    rc=$(cat "$out.rc")
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
    took=$(($(date +%s) - began))
    [ $took -lt 5 ] || echo "    ($took s)"
done
[ -z "$broken" ] || echo "failed:$broken"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
