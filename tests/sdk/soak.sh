#!/bin/sh
# soak.sh [N] - make soak: 20,000 commands, 2,000 sandboxes and 200 parallel streams by the
# C client on sandboxd, whose memory and the client's must stay flat (soak.c says what that
# is). N: only an N-th of it. Ends with "soak: ok".
set -u
n=${1:-1}
build=${BUILD:-build}
case $n in *[!0-9]* | '' | 0) echo "soak: SOAK=$n is no number"; exit 1 ;; esac
if [ "$(uname -s)" != Linux ]; then
    echo "soak: skipped (sandboxd, the local host, needs Linux)"
    exit 0
fi
. tests/tools/host.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/sbx-soak.XXXXXX") || exit 1
chmod 711 "$work"
cleanup() {
    [ -z "${host_pid:-}" ] || host_stop "$host_pid"
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
host_start "$work/log" --state "$work/state" --log-level error || exit 1
export E2B_API_KEY=e2b_0000000000000000000000000000000000000000
export E2B_API_URL="$host_url" E2B_SANDBOX_URL="$host_url"
at_least() { [ "$1" -gt "$2" ] && echo "$1" || echo "$2"; }
"$build/sdk/soak" "$(at_least $((20000 / n)) 20)" "$(at_least $((2000 / n)) 8)" \
    "$(at_least $((200 / n)) 4)" "$(at_least $((60 / n)) 2)" "$host_pid"
rc=$?
pid=$host_pid host_pid=
host_stop "$pid" || rc=1
[ -z "$(ls -A "$work/state" 2>/dev/null)" ] || { echo "soak: the host left files behind"; rc=1; }
if [ $rc = 0 ]; then echo "soak: ok"; else tail -n 5 "$work/log"; fi
exit $rc
