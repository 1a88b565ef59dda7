#!/bin/sh
# verdict_test.sh - json-verdict, http-verdict and tls-verdict: what they say of good
# and bad input, with every option, and their exit status.
set -u
build=${BUILD:-build}
work=$(mktemp -d "${TMPDIR:-/tmp}/sbx-verdict.XXXXXX") || exit 1
server=
cleanup() {
    [ -z "$server" ] || { kill "$server"; wait "$server"; } 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0

# STATUS WORDS COMMAND...: its exit status, and what stands in what it says.
is() {
    want=$1 words=$2; shift 2
    "$@" >"$work/out" 2>&1 </dev/null
    rc=$?
    if [ "$rc" = "$want" ] && grep -q -e "$words" "$work/out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $*: status $rc, not $want, or it does not say \"$words\":"
        sed 's/^/    /' "$work/out"
    fi
}

# ---- json-verdict ----------------------------------------------------------------
printf '{"a":[1,"caf\303\251",null]} ' >"$work/good.json"
printf '{"a":[1,]}' >"$work/bad.json"
printf '"\303"' >"$work/utf8.json"
: >"$work/empty"
for chunk in "" "--chunk 1" "--chunk 3" "--chunk 65536"; do
    is 0 '' sh -c "$build/json-verdict $chunk $work/good.json; s=\$?; echo; exit \$s"
    is 1 '' sh -c "$build/json-verdict $chunk $work/bad.json; s=\$?; echo; exit \$s"
    is 1 '' sh -c "$build/json-verdict $chunk $work/utf8.json; s=\$?; echo; exit \$s"
done
is 1 '' sh -c "$build/json-verdict $work/empty; s=\$?; echo; exit \$s"
is 0 '' sh -c "$build/json-verdict - <$work/good.json; s=\$?; echo; exit \$s"
is 2 'no-such-file' "$build/json-verdict" "$work/no-such-file"
for wrong in "" "--chunk 0 $work/good.json" "--chunk 65537 $work/good.json" "--chunk x $work/good.json" \
    "--chunk 1" "$work/good.json $work/good.json"; do
    is 2 usage "$build/json-verdict" $wrong
done

# ---- http-verdict ----------------------------------------------------------------
printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n5\r\nhello\r\n0\r\n\r\nrest' >"$work/good.http"
printf 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello' >"$work/bad.http"
printf 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello' >"$work/cut.http"
for chunk in "" "--chunk 1" "--chunk 7" "--chunk 100000"; do
    is 0 '^status 200$' "$build/http-verdict" $chunk "$work/good.http"
    is 0 '^header x-a: b$' "$build/http-verdict" $chunk "$work/good.http"
    is 0 '^body 5 a430d84680aabd0b$' "$build/http-verdict" $chunk "$work/good.http" # FNV-1a of hello
    is 0 '^SBX_OK$' "$build/http-verdict" $chunk "$work/good.http"
    is 1 '^SBX_E_PROTOCOL$' "$build/http-verdict" $chunk "$work/bad.http"
    is 1 '^SBX_E_NETWORK$' "$build/http-verdict" $chunk "$work/cut.http"
done
is 0 '^rest 4$' "$build/http-verdict" "$work/good.http"
is 0 '^body 0 ' "$build/http-verdict" --head "$work/cut.http"
is 0 '^rest 5$' "$build/http-verdict" --chunk 2 --head "$work/cut.http"
is 1 '^SBX_E_NETWORK$' "$build/http-verdict" "$work/empty"
is 2 'no-such-file' "$build/http-verdict" "$work/no-such-file"
for wrong in "" "--chunk 0 $work/good.http" "--chunk x $work/good.http" "--chunk 1" "--tail $work/good.http" \
    "$work/good.http $work/good.http"; do
    is 2 usage "$build/http-verdict" $wrong
done

# ---- tls-verdict -----------------------------------------------------------------
sh tests/live/certs.sh "$work/certs" >"$work/log" 2>&1 || { cat "$work/log"; failed=$((failed + 1)); }
# NAME of the certificate: starts a server on a free port, sets $port.
serve() {
    [ -z "$server" ] || { kill "$server"; wait "$server"; } 2>/dev/null
    openssl s_server -accept 127.0.0.1:0 -cert "$work/certs/$1.pem" -cert_chain "$work/certs/$1.pem" \
        -key "$work/certs/$1.key" -www -naccept 100 </dev/null >"$work/server" 2>&1 &
    server=$! port= tries=0
    while [ -z "$port" ] && [ $tries -lt 100 ]; do
        port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$work/server")
        [ -n "$port" ] || sleep 0.1
        tries=$((tries + 1))
    done
}
tls="$build/tls-verdict --ca $work/certs/ca.pem"
now=$(date +%s)
serve localhost
is 0 '^accepted$' $tls --host localhost "127.0.0.1:$port"
is 0 '^accepted$' $tls --at "$now" --host localhost "127.0.0.1:$port"
is 1 '^refused: WRONG_HOST' $tls --host other.example "127.0.0.1:$port"
is 1 '^refused: WRONG_IP' $tls --host 127.0.0.1 "127.0.0.1:$port"
is 1 '^refused: NOT_YET_VALID' $tls --at 1 --host localhost "127.0.0.1:$port"
is 1 '^refused: EXPIRED' $tls --at 9999999999 --host localhost "127.0.0.1:$port"
is 1 '^refused: UNTRUSTED' "$build/tls-verdict" --ca "$work/certs/otherca.pem" --host localhost "127.0.0.1:$port"
is 1 '^refused: BAD_CONFIG' "$build/tls-verdict" --ca "$work/empty" --host localhost "127.0.0.1:$port"
is 1 '^refused: ' "$build/tls-verdict" --ca "$work/no-such-file" --host localhost "127.0.0.1:$port"
is 2 usage $tls "127.0.0.1:$port"
is 2 usage "$build/tls-verdict" --host localhost "127.0.0.1:$port"
is 2 usage $tls --host localhost "127.0.0.1"
is 2 usage $tls --host localhost "127.0.0.1:65536"
is 2 usage $tls --at x --host localhost "127.0.0.1:$port"
is 2 usage $tls --at
serve ip
is 0 '^accepted$' $tls --host 127.0.0.1 "127.0.0.1:$port"
serve expired
is 1 '^refused: EXPIRED' $tls --host localhost "127.0.0.1:$port"
kill "$server"; wait "$server" 2>/dev/null; server=
is 1 '^refused: SBX_E_CONNECT' $tls --host localhost "127.0.0.1:$port"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
