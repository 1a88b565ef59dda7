#!/bin/sh
# run.sh - make test-sdk: the official SDKs, unchanged, on sandboxd. Installs them under
# build/, starts the host twice, plain and with TLS under names of a wildcard certificate,
# and runs on it: methods.py and methods.mjs, a scenario for each method; programs/,
# programs as users write them; scenario.c and scenario.py, the same story by the C client and
# by an SDK, whose results must be equal; context.py, files of a COPY by both. One closing
# line a package; a package that can't be had is skipped with its reason. SDK_VERBOSE=1 shows every check.
set -u
build=${BUILD:-build}
dir=$build/sdk
mkdir -p "$dir"
if [ "$(uname -s)" != Linux ]; then
    echo "sdk: skipped (sandboxd, the local host, needs Linux)"
    exit 0
fi
sh tests/tools/need.sh mbedtls microhttpd openssl python3 || exit 1
here=$(pwd)

# ---- the SDKs ----
fetch() { # LOG COMMAND...
    log=$dir/$1.log; shift
    timeout 150 "$@" >"$log" 2>&1
}
reason() { # LOG: why a fetch failed, one line
    line=$(grep -i -m 1 'error' "$dir/$1.log" | cut -c 1-100 | tr -d '()')
    echo "the package can't be fetched: ${line:-see $dir/$1.log}"
}
fetch_python() { # VERSION
    "$dir/py-$1/bin/python" -c 'import e2b' 2>/dev/null && return
    fetch "py-$1" sh -c "python3 -m venv '$dir/py-$1' && '$dir/py-$1/bin/pip' install -q \
        --disable-pip-version-check 'e2b==$1'" || reason "py-$1" >"$dir/skip-py-$1"
}
fetch_js() { # VERSION
    if ! { command -v node && command -v npm; } >/dev/null 2>&1; then
        echo "no node and npm here" >"$dir/skip-js"
        return
    fi
    grep -q "\"version\": \"$1\"" "$dir/js/node_modules/e2b/package.json" 2>/dev/null && return
    mkdir -p "$dir/js"
    fetch js npm install --no-audit --no-fund --prefix "$dir/js" "e2b@$1" || reason js >"$dir/skip-js"
}
py=2.63.0 old=2.6.0 js=2.51.0
rm -f "$dir"/skip-* "$dir"/*.out
fetch_python $py & a=$!
fetch_python $old & b=$!
fetch_js $js & c=$!
${MAKE:-make} -s "$build/sandboxd" "$build/sdk/scenario" "$build/sdk/context" || exit 1
wait $a $b $c

# ---- the hosts ----
. tests/tools/host.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/sbx-sdk.XXXXXX") || exit 1
chmod 711 "$work"
SBX_TEST_RUN=${work##*/}
plain_pid= tls_pid=
cleanup() {
    [ -z "$plain_pid" ] || host_stop "$plain_pid"
    [ -z "$tls_pid" ] || host_stop "$tls_pid"
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
sh tests/live/certs.sh "$work/certs" || exit 1
host_start "$work/plain.log" --state "$work/plain" --network auto || exit 1
plain_pid=$host_pid plain_url=$host_url
host_start "$work/tls.log" --state "$work/tls" --network auto --tls-cert "$work/certs/wildcard.pem" \
    --tls-key "$work/certs/wildcard.key" || exit 1
tls_pid=$host_pid tls_port=${host_url##*:}
export E2B_API_KEY=e2b_0000000000000000000000000000000000000000
export PYTHONDONTWRITEBYTECODE=1
unset E2B_DEBUG E2B_ACCESS_TOKEN SSL_CERT_FILE http_proxy https_proxy all_proxy \
    HTTP_PROXY HTTPS_PROXY ALL_PROXY

on_plain() { # COMMAND...: the SDK is told where the host is
    E2B_DOMAIN=example.test E2B_API_URL=$plain_url E2B_SANDBOX_URL=$plain_url \
        SDK_HOST_URL=$plain_url SDK_JS="$here/$dir/js" "$@"
}
on_tls() { # COMMAND...: the SDK finds the host by its names, as a cloud's
    E2B_DOMAIN=example.test:$tls_port E2B_API_URL=https://api.example.test:$tls_port \
        SDK_HOST_URL=https://api.example.test:$tls_port SDK_RESOLVE=example.test \
        SSL_CERT_FILE="$work/certs/ca.pem" "$@"
}
story() { # C and Python on the same host, then the comparison
    on_plain timeout 60 "$build/sdk/scenario" >"$dir/scenario-c.jsonl" 2>"$dir/scenario-c.err"
    on_plain timeout 60 "$dir/py-$py/bin/python" tests/sdk/scenario.py >"$dir/scenario-py.jsonl" \
        2>"$dir/scenario-py.err"
    python3 tests/sdk/compare.py "$dir/scenario-c.jsonl" "$dir/scenario-py.jsonl"
}
job() { # NAME COMMAND...: its output into a file; one that says nothing has failed
    name=$1; shift
    [ -f "$dir/skip-$name" ] && return
    "$@" >"$dir/$name.$n.out" 2>&1
    grep -q '^checks ' "$dir/$name.$n.out" ||
        echo "checks $name: 0 passed, 1 failed" >>"$dir/$name.$n.out"
    n=$((n + 1))
}

# ---- two lanes, as most machines have two cores ----
python=$dir/py-$py/bin/python
lane_one() {
    n=10
    job py-$py on_plain timeout 120 "$python" tests/sdk/methods.py sync
    job py-$py on_plain timeout 120 "$python" tests/sdk/methods.py async
    job py-$py on_plain sh tests/sdk/programs.sh "e2b-python $py" py "$python"
    job py-$py timeout 120 "$python" tests/sdk/context.py "$build/sdk/context"
    job py-$py timeout 60 "$python" tests/sdk/dockerfiles.py
    [ -f "$dir/skip-py-$py" ] || job story story
}
lane_two() {
    n=50
    job py-$old on_tls timeout 120 "$dir/py-$old/bin/python" tests/sdk/methods.py sync
    job py-$old on_tls timeout 120 "$dir/py-$old/bin/python" tests/sdk/methods.py async
    job js on_plain timeout 120 node tests/sdk/methods.mjs
    job js on_plain sh tests/sdk/programs.sh "e2b-js $js" mjs node --import "$here/tests/sdk/js.mjs"
}
lane_one & a=$!
lane_two & b=$!
wait $a $b

# ---- what came of it ----
bad=0
closing() { # NAME PACKAGE VERSION
    if [ -f "$dir/skip-$1" ]; then
        echo "sdk $2 $3: skipped ($(cat "$dir/skip-$1"))"
        return
    fi
    cat "$dir/$1".*.out 2>/dev/null | awk -v what="sdk $2 $3" '
        /^checks .*: [0-9]+ passed, [0-9]+ failed$/ { p += $(NF - 3); f += $(NF - 1) }
        END { printf "%s: %d passed, %d failed\n", what, p, f; exit !(p > 0 && f == 0) }' || bad=1
}
cat "$dir"/*.out 2>/dev/null
[ ! -f "$dir/skip-py-$py" ] || cp "$dir/skip-py-$py" "$dir/skip-story"
closing py-$py e2b-python $py
closing py-$old e2b-python $old
closing js e2b-js $js
closing story sandbox.h "$(sed -n 's/^#define SBX_VERSION "\(.*\)"/\1/p' sandbox.h)"
if [ $bad != 0 ]; then
    for log in plain tls; do
        grep -i -m 5 'error\|fatal\|assert' "$work/$log.log" | sed "s/^/$log host: /"
    done
fi
exit $bad
