#!/bin/sh
# bare_metal.sh [lwip|web|uart|refuses|loop]... - builds examples/bare_metal for a Cortex-M3 and
# runs it in an emulator (qemu's mps2-an385) on sandboxd, over TLS: over lwIP, the same with
# what the public web needs of TLS, over a UART; and sees that it refuses hosts it must not
# trust. All of them if none is named. Shows flash and RAM by part. Closing line:
# bare-metal: ok, or skipped (why).
set -u
. tests/tools/host.sh
build=${BUILD:-build}/bare-metal
arm=${ARMCC:-arm-none-eabi-gcc}
jobs=$(nproc 2>/dev/null || echo 2)
mbedtls=${BUILD:-build}/mbedtls-3.6 lwip=${BUILD:-build}/lwip-2.1
here=examples/bare_metal
mkdir -p "$build"
work=$(mktemp -d "${TMPDIR:-/tmp}/sbx-bare.XXXXXX") || exit 1
chmod 711 "$work"
host_pid=
trap '[ -z "$host_pid" ] || host_stop $host_pid; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

skip() { echo "bare-metal: skipped ($1)"; exit 0; }
fail() { echo "bare-metal: failed: $1"; exit 1; }

cpu="-mcpu=cortex-m3 -mthumb --specs=picolibc.specs"
code="$cpu -Os -ffunction-sections -fdata-sections"
ours="$code -std=c99 -pedantic -Wall -Wextra -Wconversion -Wshadow -Werror -DBOARD_IS_EMULATED
    -I$build -I$here -I. -isystem $mbedtls/include -isystem $lwip/src/include"
config="-I$here @$build/config" # a file of flags: their quotes go through many hands
printf '%s\n' '-DMBEDTLS_CONFIG_FILE=\"tls_config.h\"' >"$build/config"

# ---- parts --------------------------------------------------------------------

# NAME SOURCE CONFIG FLAG... -- FILE...: lib NAME of those files, unless it is there and newer.
library() {
    name=$1 lib=$build/lib$1.a flags=
    [ "$lib" -nt "$3" ] && [ "$lib" -nt "$2/.unpacked" ] && [ "$lib" -nt "$0" ] && return 0
    shift 3
    while [ "$1" != -- ]; do flags="$flags $1"; shift; done
    shift
    rm -rf "$build/$name" "$lib"
    mkdir -p "$build/$name"
    printf '%s\n' "$@" | xargs -P "$jobs" -I% sh -c \
        "$arm $code $flags -c -o $build/$name/\$(basename % .c).o %" &&
        "${arm%gcc}ar" cr "$lib" "$build/$name"/*.o
}

compile() { # SOURCE FLAG...: one of ours
    source=$1
    shift
    $arm $ours $config "$@" -c -o "$build/$(basename "$source" .c).o" "$source"
}

tls_library() { # NAME FLAG...
    name=$1
    shift
    library "$name" "$mbedtls" $here/tls_config.h $config -I"$mbedtls/include" \
        -I"$mbedtls/library" "$@" -- "$mbedtls"/library/*.c
}

libraries() {
    tls_library mbedtls || return 1
    library lwip "$lwip" $here/lwipopts.h -I"$here" -I"$lwip/src/include" -- "$lwip"/src/core/*.c \
        "$lwip"/src/core/ipv4/*.c "$lwip/src/netif/ethernet.c"
}

# What the firmware is told: where the host is, whom to trust, what time it is.
target() { # CA UNIX
    {
        echo "#define TARGET_URL \"https://localhost:$port\""
        echo "#define TARGET_KEY \"$key\""
        echo "#define TARGET_UNIX_MS INT64_C(${2}000)"
        echo "#define TARGET_SEED { $(od -An -v -N32 -tu1 /dev/urandom | tr '\n' ' ' |
            sed 's/  */, /g; s/^, //; s/, $//') }"
        echo '#define TARGET_CA \'
        sed 's/.*/    "&\\n" \\/' "$work/certs/$1.pem"
        echo '    ""'
    } >"$build/target.h"
}

# CERTIFICATE: sandboxd with that one, instead of the one that runs.
host() {
    [ -z "$host_pid" ] || host_stop "$host_pid"
    host_pid=
    host_start "$build/sandboxd.log" --api-key "$key" --state "$work/state" \
        --tls-cert "$work/certs/$1.pem" --tls-key "$work/certs/$1.key" || return 1
    port=${host_url##*:}
}

# ---- what it takes ------------------------------------------------------------

# Of a map: each section of each object, by the part it belongs to. Static buffers are
# told by their names.
table() { # MAP
    LC_ALL=C awk '
        function part(file, section) {
            if (section ~ /heap_mbedtls/) return "mbedTLS"
            if (section ~ /heap_sandbox/) return "sandbox.h"
            if (file ~ /libmbedtls[a-z_]*\.a/) return "mbedTLS"
            if (file ~ /liblwip\.a/) return "lwIP"
            if (file ~ /\/sandbox\.o$/) return "sandbox.h"
            if (file ~ /\/(net|lan9118|board|main)[^\/]*\.o$/) return "the firmware"
            return "C library, compiler"
        }
        function hex(text,    n, i) {
            n = 0
            text = tolower(substr(text, 3))
            for (i = 1; i <= length(text); i++)
                n = n * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
            return n
        }
        /^Linker script and memory map/ { on = 1 }
        !on { next }
        /^\.[a-z_]+/ { out = $1 }
        /^\.stack / { stack = hex($3) }
        /^ [.*A-Z][^ ]*$/ { name = $1; getline; $0 = " " name $0 } # long names have their own line
        /^ [.*A-Z][^ ]* +0x[0-9a-f]+ +0x[0-9a-f]+/ {
            from = hex($2)
            to = from + hex($3)
            if (out != last) top = 0
            last = out
            if (from < top) from = top # strings that were merged stand there more than once
            size = to > from ? to - from : 0
            if (size) top = to
            who = $1 == "*fill*" ? "alignment" : part($4, $1)
            if (out ~ /^\.(init|text|data)$/) flash[who] += size
            if (out ~ /^\.(data|bss)$/) ram[who] += size
        }
        END {
            ram["stack, reserved"] = stack
            printf "  %-22s %9s %9s\n", "bytes of", "flash", "RAM"
            n = split("sandbox.h|mbedTLS|lwIP|the firmware|C library, compiler|alignment|stack, reserved", order, "|")
            for (i = 1; i <= n; i++) {
                who = order[i]
                if (!flash[who] && !ram[who]) continue
                printf "  %-22s %9d %9d\n", who, flash[who], ram[who]
                f += flash[who]; r += ram[who]
            }
            printf "  %-22s %9d %9d\n", "all of it", f, r
        }' "$1"
}

# ---- a variant ----------------------------------------------------------------

# NAME TLS FLASH RAM "DRIVER..." FLAG...: links it with that library of TLS, within limits.
link_it() {
    elf=$build/$1.elf tls=$2 flash=$3 ram=$4 units="sandbox board $5" objects=
    shift 5
    for unit in $units; do
        compile "$here/$unit.c" "$@" || return 1
        objects="$objects $build/$(basename "$unit").o"
    done
    # The script is named, so that it comes behind the symbols it looks for.
    $arm $cpu --oslib=semihost --crt0=hosted -Wl,--gc-sections,-Map="$elf.map" \
        -Wl,--defsym=__flash=0,--defsym=__flash_size="$flash" \
        -Wl,--defsym=__ram=0x20000000,--defsym=__ram_size="$ram",--defsym=__stack_size=4K \
        -T picolibc.ld -o "$elf" $objects "$build/lib$tls.a" "$build/liblwip.a" || return 1
    ! "${arm%gcc}nm" "$elf" | grep -wE 'malloc|_malloc_r|sbrk' ||
        { echo "a heap was linked"; return 1; }
}

built() { # NAME FLASH RAM
    echo "$1: linked within $2 of flash and $3 of RAM:"
    table "$build/$1.elf.map"
}

run_it() { # NAME FLAG...: at most two minutes
    elf=$build/$1.elf
    shift
    timeout -k 5 120 qemu-system-arm -M mps2-an385 -nographic -monitor none \
        -semihosting-config enable=on,target=native -kernel "$elf" "$@" </dev/null 2>&1
}

over_lwip="-serial none -nic user,model=lan9118" # the host's loopback is 10.0.2.2 there
heaps="-DHEAP_MBEDTLS=10240 -DHEAP_SANDBOX=10240"

run_lwip() {
    target ca "$(date +%s)" && link_it lwip mbedtls 144K 64K "main net_lwip lan9118" $heaps &&
        built lwip 144K 64K && run_it lwip $over_lwip
}

# Records of 16 KiB, RSA, P-384: what a server that knows nothing of small devices sends.
run_web() {
    tls_library mbedtls_web -DTLS_PUBLIC_WEB && host rsa && target ca "$(date +%s)" &&
        link_it web mbedtls_web 144K 64K "main net_lwip lan9118" -DTLS_PUBLIC_WEB \
            -DHEAP_MBEDTLS=28672 -DHEAP_SANDBOX=10240 &&
        built web 144K 64K && run_it web $over_lwip
}

# 22 kB/s in the emulator: less of everything. qemu connects the UART to the host.
run_uart() {
    target ca "$(date +%s)" && link_it uart mbedtls 144K 40K "main net_uart" $heaps \
            -DLINES=5000 -DFILE_BYTES=65536 &&
        built uart 144K 40K &&
        run_it uart -nic user,model=lan9118,restrict=on -serial "tcp:127.0.0.1:$port"
}

# CA UNIX WHY: it must end with an error, for that reason.
refused() {
    target "$1" "$2" && link_it refuses mbedtls 144K 64K "main net_lwip lan9118" $heaps || return 1
    run_it refuses $over_lwip >"$build/refuses.out" && { echo "it accepted: $3"; return 1; }
    grep "^bare-metal: create: SBX_E_TLS .*$3" "$build/refuses.out" ||
        { cat "$build/refuses.out"; echo "that is not the reason: $3"; return 1; }
}

run_refuses() {
    echo "refuses, as it should:"
    refused otherca "$(date +%s)" "not signed by a trusted authority" &&
        refused ca 7000000000 "has expired"
}

# examples/super_loop: a watchdog of 50 ms, by instructions that are counted; and, with a
# callback that takes too long, that it bites.
loop() { # FLAG...
    link_it loop mbedtls_loop 144K 64K "../super_loop/main net_lwip lan9118" \
        -DMBEDTLS_ECP_RESTARTABLE -DHEAP_MBEDTLS=20480 -DHEAP_SANDBOX=16384 "$@" || return 1
    [ $# -gt 0 ] || built loop 144K 64K
    run_it loop $over_lwip -icount shift=5
}

run_loop() {
    tls_library mbedtls_loop -DMBEDTLS_ECP_RESTARTABLE && target ca "$(date +%s)" && loop || return 1
    loop -DSTALL_MS=60 >"$build/loop.out" && { echo "the watchdog sleeps"; return 1; }
    grep "watchdog has bitten" "$build/loop.out" || { cat "$build/loop.out"; return 1; }
}

sh tests/tools/need.sh 'arm?' 'picolibc?' 'qemu-arm?' openssl || exit 1
command -v "$arm" >/dev/null 2>&1 || skip "no $arm"
echo 'int main(void) { return 0; }' | $arm $cpu --oslib=semihost -x c -o /dev/null - 2>/dev/null ||
    skip "no picolibc for $arm"
command -v qemu-system-arm >/dev/null 2>&1 || skip "no qemu-system-arm"
for what in "trixie mbedtls $mbedtls" "bookworm lwip $lwip"; do
    why=$(sh tests/tools/source.sh $what)
    case $? in 0) ;; 77) skip "$why" ;; *) fail "$why" ;; esac
done
libraries || fail "a library does not compile"
${MAKE:-make} -s sandboxd && sh tests/live/certs.sh "$work/certs" || fail "no host"
key=e2b_$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
[ $# -gt 0 ] || set -- lwip web uart refuses loop
for which in "$@"; do
    case $which in lwip|web|uart|refuses|loop) ;; *) fail "no such variant: $which" ;; esac
    host localhost && "run_$which" || fail "$which"
done
echo "bare-metal: ok"
