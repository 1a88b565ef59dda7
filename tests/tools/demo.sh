#!/bin/sh
# demo.sh - make demo: installs what is missing, builds, starts the local host on a
# free port, runs examples/demo on it, stops it. With REAL=1 and E2B_API_KEY set it
# runs on that account's cloud instead.
set -u
build=${BUILD:-build}
make="${MAKE:-make} -s"
began=$(date +%s)
key=e2b_0000000000000000000000000000000000000000

if [ "${REAL:-}" = 1 ] && [ -z "${E2B_API_KEY:-}" ]; then
    echo "REAL=1 needs an account: set E2B_API_KEY (https://e2b.dev/dashboard)."
    exit 1
fi
if [ "${REAL:-}" != 1 ] && [ "$(uname -s)" != Linux ]; then
    echo "sandboxd, the local host, needs Linux. With an account the demo runs in the"
    echo "cloud from here: make demo REAL=1 E2B_API_KEY=e2b_..."
    exit 1
fi

if [ "${REAL:-}" = 1 ]; then
    sh tests/tools/need.sh mbedtls || exit 1
    echo "building the demo"
    $make "$build/demo" || exit 1
    "$build/demo" || exit 1
else
    . tests/tools/host.sh
    sh tests/tools/need.sh mbedtls microhttpd || exit 1
    echo "building sandboxd and the demo"
    $make "$build/sandboxd" "$build/demo" || exit 1
    echo "starting sandboxd"
    host_start "$build/demo-host.log" --api-key "$key" || exit 1
    trap 'host_stop $host_pid; exit 1' HUP INT TERM
    echo "sandboxd listens at $host_url (log: $build/demo-host.log)"
    NO_PROXY=* no_proxy=* E2B_API_KEY=$key E2B_API_URL=$host_url E2B_SANDBOX_URL=$host_url \
        "$build/demo"
    rc=$?
    echo "stopping sandboxd"
    host_stop $host_pid || rc=1
    if [ $rc != 0 ]; then
        echo "the last lines of $build/demo-host.log:"
        tail -n 15 "$build/demo-host.log"
        exit 1
    fi
fi
echo "demo: ok ($(($(date +%s) - began)) s)"
