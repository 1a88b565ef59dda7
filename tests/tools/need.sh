#!/bin/sh
# need.sh WHAT... - makes sure that what the build uses is there, and installs it
# with the system's package manager where it is not. Cheap when nothing is missing.
# A name with ? after it is optional: without it some tests are skipped.
#   mbedtls microhttpd zlib openssl python3   clang? arm? headers32? bsdtar? cmake?
#   pkg-config? avr? int16? tcc?   curl? cjson? jsmn? simdjson?   cross-TARGET? (of make cross)
#   picolibc? qemu-arm? (of make bare-metal)
# NEED=check installs nothing and only says what is missing.
set -u
CC=${CC:-cc}
. tests/tools/targets.sh

have_header() { # HEADER: can the compiler see it?
    printf '#include <%s>\n' "$1" | $CC -E -x c - >/dev/null 2>&1
}

have() {
    case $1 in
    mbedtls)    have_header mbedtls/ssl.h ;;
    microhttpd) have_header microhttpd.h ;;
    zlib)       have_header zlib.h ;;
    curl)       have_header curl/curl.h ;;
    cjson)      have_header cjson/cJSON.h ;;
    jsmn)       have_header jsmn.h ;;
    simdjson)   printf '#include <simdjson.h>\n' | ${CXX:-c++} -E -x c++ - >/dev/null 2>&1 ;;
    libfuzzer)  echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return !p && n; }' |
                ${CLANG:-clang} -fsanitize=fuzzer -x c -o /dev/null - >/dev/null 2>&1 ;;
    arm)        command -v arm-none-eabi-gcc >/dev/null 2>&1 &&
                printf '#include <string.h>\n' | arm-none-eabi-gcc -E - >/dev/null 2>&1 ;;
    picolibc)   echo 'int main(void) { return 0; }' | ${ARMCC:-arm-none-eabi-gcc} -mcpu=cortex-m3 -mthumb \
                --specs=picolibc.specs --oslib=semihost -x c -o /dev/null - >/dev/null 2>&1 ;;
    qemu-arm)   command -v qemu-system-arm >/dev/null 2>&1 ;;
    headers32)  [ "$(uname -m)" != x86_64 ] || headers32 gcc >/dev/null ;;
    avr)        command -v avr-gcc >/dev/null 2>&1 &&
                printf '#include <string.h>\n' | avr-gcc -E - >/dev/null 2>&1 ;;
    int16)      command -v m68k-linux-gnu-gcc >/dev/null 2>&1 &&
                command -v qemu-m68k-static >/dev/null 2>&1 ;;
    cross-*)    target "${1#cross-}" && target_have ;;
    *)          command -v "$1" >/dev/null 2>&1 ;;
    esac
}

why() {
    case $1 in
    mbedtls)    echo "TLS of the client (headers and library)" ;;
    microhttpd) echo "HTTP server of sandboxd, the local host" ;;
    zlib)       echo "gzip in sandboxd, the local host" ;;
    openssl)    echo "throw-away certificates for the TLS tests" ;;
    python3)    echo "scripts of the tests" ;;
    curl)       echo "libcurl, a peer of the benchmark" ;;
    cjson|jsmn|simdjson) echo "a JSON parser, a peer of the benchmark" ;;
    bsdtar)     echo "a second reader of the archives we make" ;;
    clang)      echo "second compiler of the compile tests" ;;
    libfuzzer)  echo "fuzzing (make fuzz)" ;;
    arm)        echo "sizes and the freestanding build for Cortex-M3" ;;
    picolibc)   echo "C library of a Cortex-M3 without a system" ;;
    qemu-arm)   echo "emulator of a Cortex-M3 board" ;;
    headers32)  echo "C headers of 32 bits for the compile tests" ;;
    avr)        echo "a compiler whose int has 16 bits" ;;
    int16)      echo "an emulated machine whose int has 16 bits" ;;
    tcc)        echo "third compiler of the compile tests" ;;
    cmake|pkg-config) echo "one of the ways programs find what is installed" ;;
    cross-*)    echo "compiler, C library and emulator of this target" ;;
    esac
}

package() { # MANAGER WHAT: the package's names there
    case $1:$2 in
    apt-get:mbedtls)    echo libmbedtls-dev ;;
    apt-get:microhttpd) echo libmicrohttpd-dev ;;
    apt-get:zlib)       echo zlib1g-dev ;;
    apt-get:libfuzzer)  echo "libclang-rt-$(${CLANG:-clang} -dumpversion 2>/dev/null | sed 's/\..*//')-dev" ;;
    dnf:libfuzzer)      echo compiler-rt ;;
    apk:libfuzzer)      echo compiler-rt ;;
    apt-get:bsdtar|apk:bsdtar) echo libarchive-tools ;;
    apt-get:arm)        echo gcc-arm-none-eabi libnewlib-arm-none-eabi ;;
    apt-get:picolibc)   echo picolibc-arm-none-eabi ;;
    apt-get:qemu-arm)   echo qemu-system-arm ;;
    apt-get:curl)       echo libcurl4-openssl-dev ;;
    apt-get:cjson|apt-get:jsmn|apt-get:simdjson) echo "lib$2-dev" ;;
    apt-get:avr)        echo gcc-avr avr-libc ;;
    apt-get:int16)      echo gcc-m68k-linux-gnu qemu-user-static ;;
    dnf:avr)            echo avr-gcc avr-libc ;;
    apk:avr)            echo gcc-avr avr-libc ;;
    apt-get:headers32)  echo libc6-dev-i386-cross ;;
    apt-get:cross-musl) echo musl-tools ;;
    apt-get:cross-musl-arm) echo qemu-user-static python3-venv ;;
    apt-get:cross-*)    target "${2#cross-}" &&
                        echo "gcc-$triplet libc6-dev-$arch-cross qemu-user-static" ;;
    dnf:headers32)      echo glibc-devel.i686 ;;
    dnf:qemu-arm)       echo qemu-system-arm-core ;;
    apk:qemu-arm)       echo qemu-system-arm ;;
    dnf:pkg-config)     echo pkgconf-pkg-config ;;
    apk:pkg-config)     echo pkgconf ;;
    dnf:curl)           echo libcurl-devel ;;
    dnf:cjson|dnf:simdjson) echo "$2-devel" ;;
    apk:curl)           echo curl-dev ;;
    apk:cjson|apk:simdjson) echo "$2-dev" ;;
    dnf:mbedtls)        echo mbedtls-devel ;;
    dnf:microhttpd)     echo libmicrohttpd-devel ;;
    dnf:zlib)           echo zlib-devel ;;
    dnf:arm)            echo arm-none-eabi-gcc-cs arm-none-eabi-newlib ;;
    apk:mbedtls)        echo mbedtls-dev ;;
    apk:microhttpd)     echo libmicrohttpd-dev linux-headers ;;
    apk:zlib)           echo zlib-dev ;;
    apk:arm)            echo gcc-arm-none-eabi newlib-arm-none-eabi ;;
    *)                  echo "$2" ;;
    esac
}

install_with() { # MANAGER PACKAGE...: its output goes to the log
    manager=$1; shift
    case $manager in
    apt-get)
        export DEBIAN_FRONTEND=noninteractive
        $root apt-get -o DPkg::Lock::Timeout=120 -y --no-install-recommends install "$@" ||
            { $root apt-get -o DPkg::Lock::Timeout=120 update &&
              $root apt-get -o DPkg::Lock::Timeout=120 -y --no-install-recommends install "$@"; } ;;
    dnf) $root dnf -y --setopt=install_weak_deps=False install "$@" ;;
    apk) $root apk add --no-cache "$@" ;;
    esac </dev/null >>"$log" 2>&1
}

missing= optional=
for what in "$@"; do
    name=${what%\?}
    have "$name" && continue
    if [ "$name" = "$what" ]; then missing="$missing $name"; else optional="$optional $name"; fi
done
[ -z "$missing$optional" ] && exit 0

manager=
for m in apt-get dnf apk; do
    if command -v $m >/dev/null 2>&1; then manager=$m; break; fi
done
root=
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then root=sudo
    else root=none; fi
fi
log=${BUILD:-build}/install.log
mkdir -p "${BUILD:-build}"
: >"$log"

failed=
for name in $missing $optional; do
    case " $optional " in *" $name "*) kind="optional" ;; *) kind="needed" ;; esac
    packages=$(package "${manager:-none}" "$name")
    if [ -z "$manager" ] || [ "$root" = none ] || [ "${NEED:-}" = check ]; then
        echo "$kind but not here: $packages - $(why "$name")"
    else
        echo "installing $packages with $manager ($kind: $(why "$name"))"
        # Word splitting is meant: several packages.
        install_with "$manager" $packages || echo "  that did not work: see $log"
    fi
    have "$name" && continue
    if [ $kind = needed ]; then failed="$failed $packages"
    else echo "  going on without $name: its tests are skipped"; fi
done
[ -z "$failed" ] && exit 0

echo
if [ -z "$manager" ]; then
    echo "Neither apt-get, dnf nor apk is here: please install by hand:$failed"
elif [ "$root" = none ]; then
    echo "Installing needs root, and sudo is not possible here. As root, run:"
    case $manager in apk) verb=add ;; *) verb=install ;; esac
    echo "    $manager $verb$failed"
else
    echo "Could not install:$failed. The last lines of $log:"
    tail -n 5 "$log"
fi
exit 1
