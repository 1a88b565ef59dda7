#!/bin/sh
# mbedtls.sh SUITE DIR - the source of mbedTLS in a suite of Debian (source.sh), built to a
# static library: DIR/include and DIR/library, what MBEDTLS_DIR of the Makefile takes. What
# is there already is not made again. Exit 77, with the reason as the last line: not here.
set -u
suite=$1 dir=$2
CC=${CC:-cc}

[ ! -f "$dir/library/libmbedcrypto.a" ] || exit 0
command -v ar >/dev/null 2>&1 || { echo "ar is not here"; exit 77; }
sh tests/tools/source.sh "$suite" mbedtls "$dir" || exit
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
