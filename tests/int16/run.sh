#!/bin/sh
# run.sh - where int and size_t have 16 bits: the implementation compiles for AVR (and
# MSP430, where its compiler is here) without a warning; on an emulated m68k with
# -mshort known answers come out (vectors.c), and a client creates a sandbox, runs a
# command with 100,000 lines of output and ends it (tests/budget/ram.c).
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
warn="-std=c99 -pedantic -Wall -Wextra -Wconversion -Wshadow -Werror"
bare="-DSBX_NO_POSIX -DSBX_NO_STDLIB -DSBX_NO_TLS -DSBX_SMALL"
tests=0 bad=0
here() { command -v "$1" >/dev/null 2>&1; }
count() { # NAME COMMAND...
    name=$1; shift
    tests=$((tests + 1))
    "$@" >"$work/out" 2>&1 </dev/null && return 0
    bad=$((bad + 1))
    echo "FAILED int16 $name"
    tail -n 12 "$work/out"
}

for cc in "avr-gcc -mmcu=avr6" "msp430-elf-gcc" "msp430-gcc"; do
    here "${cc%% *}" || continue
    for more in -Os "-O1 -DSBX_NO_TEMPLATE" "-O1 -DSBX_NO_EXTRAS -DSBX_NO_PROC -DSBX_NO_ERROR_TEXT"; do
        count "$cc $more" $cc $warn $bare $more -I. -c tests/compile/impl.c -o "$work/impl.o"
    done
done

m68k=m68k-linux-gnu-gcc
# Optimized -mshort code is not to be had: the compiler breaks off.
flags="-mshort -O0 -ffreestanding -fno-builtin -fno-stack-protector -nostdinc -isystem tests/int16/include"
emulated() { # SOURCE: the C library's part of it is runtime.c
    $m68k -std=gnu99 $flags -isystem "$($m68k -print-file-name=include)" $bare -I. -w -static -nostdlib \
        "$1" tests/int16/runtime.c -lgcc -o "$work/program" && qemu-m68k-static "$work/program"
}
if here $m68k && here qemu-m68k-static; then
    for source in tests/int16/vectors.c tests/budget/ram.c; do count "m68k $source" emulated $source; done
else
    echo "cross int16-m68k: skipped (no $m68k or no qemu-m68k-static)"
fi
[ $bad = 0 ] || exit 1
if [ $tests = 0 ]; then echo "cross int16: skipped (no avr-gcc)"; else echo "cross int16: ok ($tests tests)"; fi
