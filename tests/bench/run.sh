#!/bin/sh
# run.sh - make bench: installs the peers it can get (system packages; the official
# SDKs and yyjson from their package registries, under build/), builds, starts
# sandboxd on a free port, and lets bench.py measure. A peer that can't be had is
# skipped with its reason. COREJSON=DIR names a copy of coreJSON's source.
set -u
build=${BUILD:-build}
dir=$build/bench
CC=${CC:-cc}
CXX=${CXX:-c++}
mkdir -p "$dir"
tls="${TLS_LIBS:--lmbedtls -lmbedx509 -lmbedcrypto}"
flags="-std=gnu99 -O2 -Wall -Wextra"
key=e2b_0000000000000000000000000000000000000000

[ "$(uname -s)" = Linux ] || { echo "bench: skipped (sandboxd, the local host, needs Linux)"; exit 0; }
sh tests/tools/need.sh mbedtls microhttpd python3 'openssl?' 'curl?' 'cjson?' 'jsmn?' 'simdjson?' || exit 1

# ---- peers ----
got() { # LOG COMMAND...: quiet, 1 and a line if it fails
    log=$1; shift
    timeout 150 "$@" >"$dir/$log.log" 2>&1
}
venv() { # DIR: a Python environment, by whichever tool makes one
    [ -x "$1/bin/pip" ] || got venv python3 -m venv "$1"
}

if ! "$dir/py/bin/python" -c 'import e2b' 2>/dev/null; then
    echo "fetching the Python SDK"
    venv "$dir/py" && got e2b-py "$dir/py/bin/pip" install -q --disable-pip-version-check e2b
fi
if "$dir/py/bin/python" -c 'import e2b' 2>/dev/null; then
    export BENCH_PYTHON="$dir/py/bin/python"
else
    export BENCH_NO_PYTHON="the package e2b could not be installed"
fi
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    export BENCH_NO_JS="no node and npm here"
else
    if [ ! -d "$dir/js/node_modules/e2b" ]; then
        echo "fetching the JavaScript SDK"
        mkdir -p "$dir/js"
        got e2b-js npm install --no-audit --no-fund --prefix "$dir/js" e2b
    fi
    if [ -d "$dir/js/node_modules/e2b" ]; then export BENCH_JS="$PWD/$dir/js"
    else export BENCH_NO_JS="the package e2b could not be installed"; fi
fi
yyjson=$(find "$dir/yyjson" -name yyjson.c 2>/dev/null | head -n 1)
if [ -z "$yyjson" ]; then
    echo "fetching yyjson (the source package of its Python binding carries it)"
    mkdir -p "$dir/yyjson"
    venv "$dir/py" && got yyjson "$dir/py/bin/pip" download -q --disable-pip-version-check \
        --no-deps --no-binary :all: -d "$dir/yyjson" yyjson
    for f in "$dir"/yyjson/*.tar.gz; do [ -f "$f" ] && tar xzf "$f" -C "$dir/yyjson"; done
    yyjson=$(find "$dir/yyjson" -name yyjson.c 2>/dev/null | head -n 1)
fi

# ---- programs ----
echo "building"
sees() { printf '#include <%s>\n' "$1" | $CC -E -x c - >/dev/null 2>&1; }
build_c() { # NAME LIBRARY...
    name=$1; shift
    $CC $flags -o "$dir/$name" "tests/bench/$name.c" "$@"
}
${MAKE:-make} -s "$build/sandboxd" || exit 1
build_c measure && build_c raw && build_c tls $tls || exit 1
# As for a small image: only what is used, and mbedTLS inside where its archives are.
small="-ffunction-sections -fdata-sections -Wl,--gc-sections"
build_c ours $small -Wl,-Bstatic $tls -Wl,-Bdynamic 2>"$dir/static.log" ||
    build_c ours $small $tls || exit 1
if sees curl/curl.h; then build_c curl -lcurl || exit 1
else rm -f "$dir/curl"; export BENCH_NO_CURL="no libcurl"; fi

objects= libs= with=
peer() { # SWITCH OBJECT SOURCE FLAG...: a peer's source as an object of its own
    switch=$1 object=$dir/$2.o source=$3; shift 3
    $CC -O2 -w "$@" -c -o "$object" "$source" && with="$with -DWITH_$switch $*" && objects="$objects $object"
}
if [ -n "$yyjson" ]; then peer YYJSON yyjson "$yyjson" "-I$(dirname "$yyjson")"
else export BENCH_NO_YYJSON="its source could not be fetched"; fi
if [ -n "${COREJSON:-}" ]; then
    peer COREJSON core_json "$COREJSON/source/core_json.c" "-I$COREJSON/source/include" -DJSON_DO_NOT_USE_CUSTOM_CONFIG
else export BENCH_NO_COREJSON="no package has it; COREJSON=DIR names its source"; fi
if sees jsmn.h; then with="$with -DWITH_JSMN"; else export BENCH_NO_JSMN="no libjsmn-dev"; fi
if sees cjson/cJSON.h; then with="$with -DWITH_CJSON" libs="$libs -lcjson"
else export BENCH_NO_CJSON="no libcjson-dev"; fi
if printf '#include <simdjson.h>\n' | $CXX -E -x c++ - >/dev/null 2>&1 &&
   $CXX -O2 -c -o "$dir/simdjson.o" tests/bench/simdjson.cc 2>"$dir/simdjson.log"; then
    with="$with -DWITH_SIMDJSON" objects="$objects $dir/simdjson.o" libs="$libs -lsimdjson -lstdc++"
else export BENCH_NO_SIMDJSON="no libsimdjson-dev"; fi
$CC -std=c99 -O2 -I. -c -o "$dir/impl.o" tests/compile/impl.c &&
    $CC $flags -Wno-unused-function $with -c -o "$dir/json.o" tests/bench/json.c &&
    $CXX -o "$dir/json" "$dir/json.o" "$dir/impl.o" $objects $libs $tls || exit 1
if sh tests/live/certs.sh "$dir/certs" >"$dir/certs.log" 2>&1; then export BENCH_CERTS="$dir/certs"; fi

# ---- the host, and a sandbox in it ----
. tests/tools/host.sh
host_start "$dir/host.log" --api-key $key || exit 1
trap 'host_stop $host_pid' EXIT
trap 'exit 1' HUP INT TERM
export E2B_API_KEY=$key E2B_API_URL=$host_url E2B_SANDBOX_URL=$host_url BENCH_PORT=${host_url##*:}
created=$(python3 - <<'END'
import json, os, urllib.request
request = urllib.request.Request(os.environ["E2B_API_URL"] + "/v2/sandboxes",
    json.dumps({"templateID": "base", "timeout": 3600}).encode(),
    {"X-API-Key": os.environ["E2B_API_KEY"], "Content-Type": "application/json"})
box = json.load(urllib.request.urlopen(request))
print(box["sandboxID"], box.get("envdAccessToken") or "none", box["envdVersion"])
END
) || { echo "bench: no sandbox could be made"; exit 1; }
set -- $created
export BENCH_ID=$1 BENCH_TOKEN=$2 BENCH_VERSION=$3 BENCH_BUILD=$dir BENCH_JSON=$build/bench.json
python3 tests/bench/bench.py
