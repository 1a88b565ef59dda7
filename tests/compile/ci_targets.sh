#!/bin/sh
# ci_targets.sh - the freestanding build for a bare Cortex-M3: compiles without a
# warning, needs nothing but memory and string functions, no 64-bit division, no
# floating point, no writable data.
set -u
arm=${ARMCC:-arm-none-eabi-gcc}
target=thumb2-freestanding
command -v "$arm" >/dev/null 2>&1 || { echo "cross $target: skipped (no $arm)"; exit 0; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
tests=0 bad=0
warn="-std=c99 -pedantic -Wall -Wextra -Wconversion -Wshadow -Werror"
bare="-mcpu=cortex-m3 -mthumb -ffreestanding -DSBX_NO_POSIX -DSBX_NO_STDLIB -DSBX_NO_TLS"

fail() { echo "cross $target: $1"; bad=$((bad + 1)); }
build() { # FLAG...
    tests=$((tests + 1))
    $arm $warn $bare "$@" -I. -c tests/compile/impl.c -o "$work/impl.o" || fail "does not compile: $*"
}

build -O2
build -Os -mbig-endian
build -Os -DSBX_NO_SWAR -mcpu=cortex-m0
build -Os -DSBX_NO_SWAR -DSBX_SMALL

# What the last one leaves to the linker.
tests=$((tests + 1))
"${arm%gcc}nm" -u "$work/impl.o" | awk '{ print $2 }' | LC_ALL=C sort >"$work/needs"
allowed='^(mem(cpy|move|set|cmp|chr)|str(len|cmp|ncmp|chr|rchr|str|spn|cspn)|__aeabi_(lmul|llsl|llsr|uidiv|uidivmod|idiv|idivmod|mem.*)|__gnu_thumb1_case_.*)$'
if grep -vE "$allowed" "$work/needs"; then fail "needs the functions above"; fi

tests=$((tests + 1))
"${arm%gcc}size" "$work/impl.o" | awk 'NR == 2 && $2 + $3 != 0 { exit 1 }' ||
    fail "has writable data"

[ $bad = 0 ] || exit 1
echo "cross $target: ok ($tests tests)"
