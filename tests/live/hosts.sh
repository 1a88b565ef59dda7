# hosts.sh - for scripts (". tests/live/hosts.sh"): sandboxd on free ports, plain and
# with TLS by a throw-away CA, for programs that tests/live/on.sh starts.
#   hosts_start DIR   their logs, state and certificates are in DIR; 1: they did not come up
#   hosts_stop        waits for them; 1: one had to be killed
. tests/tools/host.sh
plain_pid= tls_pid=

hosts_start() {
    live_dir=$1
    key=e2b_$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
    sh tests/live/certs.sh "$live_dir/certs" || return 1
    host_start "$live_dir/plain.log" --api-key "$key" --state "$live_dir/plain" || return 1
    plain_pid=$host_pid plain_url=$host_url
    host_start "$live_dir/tls.log" --api-key "$key" --state "$live_dir/tls" \
        --tls-cert "$live_dir/certs/localhost.pem" --tls-key "$live_dir/certs/localhost.key" || return 1
    tls_pid=$host_pid
    tls_url=https://localhost:${host_url##*:} # the name in the certificate
    cat >"$live_dir/plain.env" <<END
export E2B_API_KEY=$key E2B_API_URL=$plain_url E2B_SANDBOX_URL=$plain_url
export SBX_TEST_HOST=plain SBX_TEST_CERTS=$live_dir/certs SANDBOXD=${BUILD:-build}/sandboxd
END
    cat >"$live_dir/tls.env" <<END
export E2B_API_KEY=$key E2B_API_URL=$tls_url E2B_SANDBOX_URL=$tls_url
export SBX_TEST_HOST=tls SBX_TEST_CERTS=$live_dir/certs SANDBOXD=${BUILD:-build}/sandboxd
export SBX_TEST_CA=$live_dir/certs/ca.pem SSL_CERT_FILE=$live_dir/certs/ca.pem
export SBX_TEST_MIB=${SBX_TEST_MIB:-64}
END
    export SBX_LIVE_DIR="$live_dir"
}

hosts_stop() {
    hosts_bad=0
    [ -z "$plain_pid" ] || host_stop "$plain_pid" || hosts_bad=1
    [ -z "$tls_pid" ] || host_stop "$tls_pid" || hosts_bad=1
    plain_pid= tls_pid=
    return $hosts_bad
}
