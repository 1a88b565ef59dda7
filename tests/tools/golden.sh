#!/bin/sh
# golden.sh RUNNER [RECORDINGS [CALLS]] - runs recordings: the given ones, or all of
# tests/golden that have a calls file. The runner's last line is the closing line.
set -u
runner=$1 recordings=${2:-} calls=${3:-}
if [ -n "$recordings" ]; then
    [ -n "$calls" ] || calls=${recordings%.jsonl}.calls
    for f in "$recordings" "$calls"; do
        [ -f "$f" ] || { echo "golden: no file $f (GOLDEN=f.jsonl CALLS=f.calls)"; exit 1; }
    done
    exec "$runner" "$recordings" "$calls"
fi
rc=0 any=
for calls in tests/golden/*.calls; do
    [ -f "$calls" ] || continue
    any=1
    "$runner" "${calls%.calls}.jsonl" "$calls" || rc=1
done
[ -n "$any" ] || { echo "golden: no calls files"; rc=1; }
exit $rc
