#!/bin/sh
# exports.sh - the compiled header defines sbx_* and nothing else; with
# SANDBOX_STATIC it defines nothing; either way it holds no writable data.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
printf '#define SANDBOX_IMPLEMENTATION\n#include "sandbox.h"\n' >"$work/impl.c"

symbols() { # FLAG...: the defined global symbols; $work/impl.o is left
    ${CC:-cc} -O1 -w -I. "$@" -c -o "$work/impl.o" "$work/impl.c" || exit 1
    nm -g --defined-only "$work/impl.o" | awk '{ print $NF }'
}
writable() {
    nm "$work/impl.o" | awk '$2 ~ /^[bBdDC]$/ && $3 !~ /\.rel\.ro/ { print $3 }'
}

symbols >"$work/global" || exit 1
[ -s "$work/global" ] || { echo "exports: nothing is exported"; bad=1; }
if grep -v '^_\{0,1\}sbx_' "$work/global"; then echo "exports: not sbx_*"; bad=1; fi
if objdump -h "$work/impl.o" | awk '$2 ~ /^\.(data|bss)$/ && $3 !~ /^0+$/' | grep .; then
    writable
    echo "exports: writable data"; bad=1
fi
symbols -DSANDBOX_STATIC >"$work/static" || exit 1
if grep . "$work/static"; then echo "exports: visible in spite of SANDBOX_STATIC"; bad=1; fi
[ $bad = 0 ] || exit 1
echo "exports: ok"
