#!/bin/sh
# run.sh PROGRAM... - the live tests: starts sandboxd on free ports, plain and with
# TLS by a throw-away CA, runs each program, the examples, the demo and
# host_check.py on them, stops the hosts and looks for what they left behind.
# Programs find the host in E2B_API_KEY, E2B_API_URL, E2B_SANDBOX_URL, its authority
# in SBX_TEST_CA and SSL_CERT_FILE; certificates are in SBX_TEST_CERTS. With
# SBX_LIVE=tls only what has TLS in it.
set -u
if [ "$(uname -s)" != Linux ]; then
    echo "skipped: sandboxd needs Linux"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
. tests/live/hosts.sh
build=${BUILD:-build}
work=$(mktemp -d "${TMPDIR:-/tmp}/sbx-live.XXXXXX") || exit 1
chmod 711 "$work" # where users of a sandbox are users of this machine, they pass through
SBX_TEST_RUN=${work##*/}
trap 'hosts_stop; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
hosts_start "$work" || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }

only=${SBX_LIVE:-all}
set -- "$@" "sh tests/live/examples_test.sh"
n=$#
while [ "$n" -gt 0 ]; do # every program on both hosts; death_test starts its own
    program=$1
    shift
    [ $only = tls ] || set -- "$@" "sh tests/live/on.sh plain $program"
    case $only:$program in
    tls:*tls_peer_test) set -- "$@" "sh tests/live/on.sh plain $program" ;;
    *:*death_test | *:*faulty_test | *:*hostile_test | *:*proxy_test | *:*tls_peer_test) ;;
    tls:*examples_test.sh) set -- "$@" "sh tests/live/on.sh tls $build/tsan/two_threads" ;;
    *) set -- "$@" "sh tests/live/on.sh tls $program" ;;
    esac
    n=$((n - 1))
done
if [ $only != tls ]; then
    [ ! -f tests/live/host_check.py ] ||
        set -- "$@" "sh tests/live/on.sh plain python3 tests/live/host_check.py --sandboxd $build/sandboxd"
    set -- "$@" "sh tests/live/on.sh plain python3 tests/live/template_check.py --sandboxd $build/sandboxd"
    set -- "$@" "sh tests/live/on.sh plain python3 tests/live/slow_clients.py" \
        "sh tests/live/on.sh tls python3 tests/live/slow_clients.py" "sh tests/tools/demo.sh"
fi
sh tests/tools/tally.sh -t 300 "$@" | tee "$work/out"

left=
hosts_stop || left="a host that would not end"
for state in "$work/plain" "$work/tls"; do
    [ -d "$state" ] || continue
    # templates stay, that is what a state is for: an example has built one
    rest=$(ls -A "$state" | grep -v -x -e layers -e lock -e templates -e uploads)
    [ -z "$rest" ] || left="$left files in $state: $rest"
done
grep -q "$work" /proc/self/mountinfo && left="$left mounts"
# The mark of hosts.sh is in a host's environment; its helpers forget that, and have its log open.
for process in $({
    grep -lzx "SBX_TEST_RUN=$SBX_TEST_RUN" /proc/[0-9]*/environ
    ls -l /proc/[0-9]*/fd/2 | sed -n "s|.* \(/proc/[0-9]*/\)fd/2 -> $work/.*|\1environ|p"
} 2>/dev/null | sort -u); do
    process=${process%/environ}
    left="$left process ${process#/proc/} ($(tr '\0' ' ' <"$process/cmdline"))"
done
set -- $(tail -n 1 "$work/out")
case "$*" in
*passed,*failed,*skipped) passed=$1 failed=$3 skipped=$5 ;;
*) passed=0 failed=1 skipped=0 ;;
esac
if [ -n "$left" ]; then
    echo "the hosts left behind: $left"
    failed=$((failed + 1))
else
    passed=$((passed + 1))
fi
if [ "$failed" != 0 ]; then
    for log in plain tls; do
        echo "the last lines of the $log host's log:"
        tail -n 20 "$work/$log.log"
    done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
