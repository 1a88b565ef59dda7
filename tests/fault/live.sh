#!/bin/sh
# live.sh SEED|all [MANY [ROW]] - the faults of live.c on a sandboxd of its own, which must be
# empty at the end.
set -u
[ "$(uname -s)" = Linux ] || { echo "fault live: skipped (sandboxd needs Linux)"; exit 0; }
. tests/tools/host.sh
build=${BUILD:-build}
work=$(mktemp -d "${TMPDIR:-/tmp}/sbx-fault.XXXXXX") || exit 1
chmod 711 "$work"
pid=
trap '[ -z "$pid" ] || host_stop "$pid"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
key=e2b_$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
host_start "$work/log" --api-key "$key" --state "$work/state" || exit 1
pid=$host_pid
unset E2B_DOMAIN E2B_DEBUG http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
E2B_API_KEY=$key E2B_API_URL=$host_url E2B_SANDBOX_URL=$host_url \
    "$build/fault/live" "$1" "${2:-300}" "${3:-}"
rc=$?
host_stop "$pid" || rc=1
pid=
[ ! -d "$work/state" ] || [ -z "$(ls -A "$work/state")" ] || {
    echo "the host left behind: $(ls -A "$work/state")"
    rc=1
}
exit $rc
