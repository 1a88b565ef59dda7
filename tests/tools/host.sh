# host.sh - for scripts (". tests/tools/host.sh"): starts and stops sandboxd.
#   host_start LOG FLAG...   sets host_pid and host_url; 1: it did not come up
#   host_stop PID            asks it to end, waits; 1: it had to be killed

host_start() {
    host_log=$1
    shift
    : >"$host_log" # there to be read, whoever is first
    # Its processes inherit the mark, so that forgotten ones can be found.
    SBX_TEST_RUN=${SBX_TEST_RUN:-none} "${SANDBOXD:-${BUILD:-build}/sandboxd}" --port 0 "$@" \
        >"$host_log" 2>&1 </dev/null &
    host_pid=$!
    host_url=
    host_tries=0
    while [ $host_tries -lt 100 ]; do
        host_url=$(sed -n 's|.*\(https\{0,1\}://[0-9a-z.:]*:[0-9][0-9]*\).*|\1|p' "$host_log" | head -n 1)
        [ -n "$host_url" ] && return 0
        kill -0 $host_pid 2>/dev/null || break
        sleep 0.1
        host_tries=$((host_tries + 1))
    done
    echo "sandboxd did not start:"
    cat "$host_log"
    return 1
}

host_stop() {
    kill -TERM "$1" 2>/dev/null
    host_tries=0
    while kill -0 "$1" 2>/dev/null; do
        host_tries=$((host_tries + 1))
        if [ $host_tries -gt 150 ]; then
            echo "sandboxd (pid $1) did not end within 15 s"
            kill -KILL "$1" 2>/dev/null
            return 1
        fi
        sleep 0.1
    done
    wait "$1" 2>/dev/null
    return 0
}
