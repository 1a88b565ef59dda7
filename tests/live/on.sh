#!/bin/sh
# on.sh plain|tls COMMAND... - runs a command on one of the hosts that run.sh
# started: in the environment it wrote, without the caller's keys and proxies.
set -u
unset E2B_DOMAIN E2B_DEBUG E2B_ACCESS_TOKEN http_proxy https_proxy HTTP_PROXY HTTPS_PROXY \
    all_proxy ALL_PROXY no_proxy NO_PROXY
. "${SBX_LIVE_DIR:?run.sh sets it}/$1.env"
shift
exec "$@"
