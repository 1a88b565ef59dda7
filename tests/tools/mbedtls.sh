#!/bin/sh
# mbedtls.sh SUITE DIR - the source of mbedTLS in a suite of Debian, built to a static
# library: DIR/include and DIR/library, what MBEDTLS_DIR of the Makefile takes. It comes
# from the mirror this system uses, by an apt root of its own: no root rights are needed,
# and nothing of the system changes. What is there already is not made again. Exit 77,
# with the reason as the last line: not here.
set -u
suite=$1 dir=$2
CC=${CC:-cc}
gone() { echo "$1"; exit 77; }

[ ! -f "$dir/library/libmbedcrypto.a" ] || exit 0
for tool in apt-get dpkg ar tar xz; do
    command -v $tool >/dev/null 2>&1 || gone "$tool is not here"
done
mkdir -p "$dir" && dir=$(cd "$dir" && pwd) || exit 1
root=$dir.apt
trap 'rm -rf "$root"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/none" "$root/source" || exit 1
: >"$root/status"

# The system's own line for the main archive, in either of the two forms it may have.
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources \
    2>/dev/null | awk -v suite="$suite" '
    function line(uri, by) {
        if (!done++) print "deb-src " (by ? "[signed-by=" by "] " : "") uri " " suite " main"
    }
    /^#/ { next }
    /^deb / { at = $2 ~ /^\[/ ? 3 : 2; by = ""
              if (at == 3 && match($2, /signed-by=[^],]*/)) by = substr($2, RSTART + 10, RLENGTH - 10)
              if ($at ~ /\/debian\/?$/ && $0 ~ / main/) line($at, by) }
    /^Types:/ { uri = by = main = "" }
    /^URIs:/ { uri = $2 }
    /^Components:/ { main = / main/ }
    /^Signed-By:/ { by = $2 }
    (/^$/ || /^Signed-By:/) && main && uri ~ /\/debian\/?$/ { line(uri, by) }
    ' >"$root/sources.list"
[ -s "$root/sources.list" ] || gone "no source of a Debian archive in /etc/apt"
cat >"$root/apt.conf" <<END_OF_CONF
Dir::State "$root";
Dir::State::Lists "$root/lists";
Dir::State::status "$root/status";
Dir::Cache "$root/cache";
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "$root/none";
Dir::Etc::preferencesparts "$root/none";
APT::Sandbox::User "";
END_OF_CONF
export APT_CONFIG="$root/apt.conf"
cd "$root/source" || exit 1
apt-get -qq update >"$root/log" 2>&1 && apt-get -qq source --download-only mbedtls >>"$root/log" 2>&1 ||
    gone "the source package mbedtls of $suite cannot be had: $(grep -m 1 -E '^[EW]:' "$root/log")"
tar xf mbedtls_*.orig.tar.* --strip-components 1 -C "$dir" || exit 1

cd "$dir" || exit 1
# As distributions have it: the clients of several threads share PSA's state.
sed -i -E 's|^//(#define MBEDTLS_THREADING_(C\|PTHREAD))$|\1|' include/mbedtls/mbedtls_config.h || exit 1
ls library/*.c | sed 's/\.c$//' | xargs -P "$(nproc 2>/dev/null || echo 1)" -I% \
    $CC -std=c99 -O2 -g -Iinclude -Ilibrary -c -o %.o %.c || exit 1
for lib in tls x509 crypto; do
    case $lib in
    tls)  objects="library/ssl*.o library/debug.o library/net_sockets.o library/mps_*.o" ;;
    x509) objects="library/x509*.o library/pkcs7.o" ;;
    *)    objects=$(ls library/*.o | grep -vE '/(ssl|x509|mps_|debug\.|net_sockets|pkcs7)') ;;
    esac
    for o in $objects; do [ ! -f "$o" ] || echo "$o"; done | xargs ar cr library/libmbed$lib.a.new &&
        mv library/libmbed$lib.a.new library/libmbed$lib.a || exit 1
done
rm -f library/*.o
