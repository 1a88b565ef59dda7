#!/bin/sh
# budget.sh - measures what tests/budget/limits limits: Thumb-2 text, stack frames
# and structs (with arm-none-eabi-gcc), the header's length and compile time, the
# memory of a streaming command. A limit of - only shows. Compiler helpers and the C library don't count.
set -u
arm=${ARMCC:-arm-none-eabi-gcc}
build=${BUILD:-build}/budget
small="-DSBX_NO_POSIX -DSBX_NO_TLS -DSBX_NO_STDLIB -DSBX_NO_SWAR -DSBX_SMALL"
thumb="-std=c99 -mcpu=cortex-m3 -mthumb -Os -ffreestanding -ffunction-sections -fdata-sections -I."
mkdir -p "$build"
values=$build/values
: >"$values"
sources=$(find sandbox_impl -path '*/*/*.[ch]' | LC_ALL=C sort)

# NAME FLAGS ROOT...: drops what the roots don't reach; a table, then the sum.
text_of() {
    name=$1 object=$2; shift 2
    roots=; for r in "$@"; do roots="$roots -Wl,-u,$r"; done
    $arm -mcpu=cortex-m3 -mthumb -nostdlib -Wl,-r -Wl,--gc-sections $roots \
        -o "$object.linked" "$object" || exit 1
    "${arm%gcc}size" -A -d "$object.linked" |
        LC_ALL=C awk -f tests/budget/modules.awk $sources tests/budget/core.c - >"$build/$name.table" || exit 1
    echo "$name $(awk '$2 == "total" { print $1 }' "$build/$name.table")" >>"$values"
    echo "$name by module:"
    grep -v total "$build/$name.table" | sort -rn
}

sizes() { # STRUCT...: one object whose symbols have the structs' sizes
    { echo '#include "sandbox.h"'
      for s in "$@"; do echo "char sizeof_$s[sizeof($s)];"; done; } >"$build/sizes.c"
    $arm $thumb $small -c "$build/sizes.c" -o "$build/sizes.o" || exit 1
    "${arm%gcc}nm" -S -t d "$build/sizes.o" | awk '{ print $4, $2 + 0 }' >>"$values"
}

if command -v "$arm" >/dev/null 2>&1; then
    $arm $thumb $small -w -c tests/budget/core.c -o "$build/core.o" || exit 1
    text_of text_core "$build/core.o" core_use
    $arm $thumb $small -w -DCORE_BOUND -c tests/budget/core.c -o "$build/bound.o" || exit 1
    text_of text_core_bound "$build/bound.o" core_use
    lean="-DSBX_NO_PROXY -DSBX_NO_REDIRECT -DSBX_NO_TRACE"
    $arm $thumb $small $lean -fstack-usage -c tests/compile/impl.c -o "$build/all.o" || exit 1
    text_of text_all "$build/all.o" $("${arm%gcc}nm" -g --defined-only "$build/all.o" | awk '{ print $3 }')
    # What the switches above take away is measured without texts.
    silent() { # FLAG...
        $arm $thumb $small -DSBX_NO_ERROR_TEXT "$@" -c tests/compile/impl.c -o "$build/silent.o" &&
            "${arm%gcc}size" "$build/silent.o" | awk 'NR == 2 { print $1 }'
    }
    bytes=$(silent $lean) && full=$(silent) && proxy=$(silent -DSBX_NO_PROXY) &&
        redirect=$(silent -DSBX_NO_REDIRECT) &&
        trace=$(silent -DSBX_NO_TRACE) || exit 1
    echo "text_all_silent $bytes" >>"$values"
    echo "text_proxy $((full - proxy))" >>"$values"
    echo "text_redirect $((full - redirect))" >>"$values"
    echo "text_trace $((full - trace))" >>"$values"
    awk '{ if ($2 + 0 > n) { n = $2 + 0; who = $1 } } END { print "largest_frame", n
        sub(/.*:/, "", who); print "largest frame: " who, "with " n > "/dev/stderr" }' "$build/all.su" >>"$values"
    sizes $(awk '$1 ~ /^sizeof_/ { print substr($1, 8) }' tests/budget/limits)
    armless=
else
    armless=1
    echo "budget thumb: skipped (no $arm)"
fi

echo "public_lines $(wc -l <sandbox_impl/public.h)" >>"$values"
{ time -p ${CC:-cc} -std=c99 -I. -c tests/compile/impl.c -o "$build/impl.o"; } 2>"$build/time" || {
    cat "$build/time"; exit 1; }
awk '/^(user|sys)/ { s += $2 } END { printf "compile_ms %d\n", s * 1000 }' "$build/time" >>"$values"

# Prints "ram_... BYTES" lines; needs no host.
if [ -f tests/budget/ram.c ]; then
    ${CC:-cc} -std=gnu99 -O1 -I. -Itests -o "$build/ram" tests/budget/ram.c \
        -lmbedtls -lmbedx509 -lmbedcrypto || exit 1
    "$build/ram" >"$build/ram.out" || { cat "$build/ram.out"; echo "budget: ram failed"; exit 1; }
    grep '^ram_' "$build/ram.out" >>"$values"
fi

echo
LC_ALL=C awk -v armless=$armless '
    FILENAME ~ /values$/ { value[$1] = $2; next }
    /^#/ || NF == 0 { next }
    {
        what = $0; sub(/^[^ ]+ +[^ ]+ */, "", what)
        state = "ok"
        if (!($1 in value)) {
            thumb = $1 ~ /^(text_|sizeof_|largest)/
            state = armless && thumb ? "skipped" : "not measured"
            if (!(armless && thumb)) { bad = bad "\n  " $1 " was not measured" }
        } else if ($2 != "-" && value[$1] + 0 > $2 + 0) {
            state = "TOO LARGE"; bad = bad "\n  " $1 " is " value[$1] ", the limit is " $2
        }
        printf "%-27s %7s of %6s  %-12s %s\n", $1, $1 in value ? value[$1] : "-", $2, state, what
    }
    END { if (bad) { print "budget: over a limit:" bad; exit 1 } }
' "$values" tests/budget/limits || exit 1
echo "budget: ok"
