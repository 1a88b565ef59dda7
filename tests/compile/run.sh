#!/bin/sh
# run.sh - every switch of the header alone and all together, by gcc and clang, as
# C99 and C++11; the example of the manual; programs of several files. Runs two
# compilers at a time. Last line: N passed, N failed, N skipped.
set -u
. tests/tools/targets.sh
jobs=2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
list=$work/list
tls="${TLS_LIBS:--lmbedtls -lmbedx509 -lmbedcrypto}"
warn="-pedantic -Wall -Wextra -Wconversion -Wshadow -Werror"
# All that the header's section "Configuration" lists.
switches=$(awk '$1 ~ /^(SANDBOX_STATIC|SBX_[A-Z0-9_]+)$/ && $2 ~ /^(all|impl)$/ { print $1 }' \
    sandbox_impl/public.h)
skipped=0
: >"$list"
skip() { echo "skipped: $1"; skipped=$((skipped + 1)); }
add() { echo "$1|$2" >>"$list"; } # NAME|COMMAND, one line of sh
define() { for s in "$@"; do printf ' -D%s' "$s"; done; }
without() { for s in $switches; do [ "$s" = "$1" ] || printf ' -D%s' "$s"; done; }

compilers=
for cc in gcc ${CLANG:-clang}; do
    if command -v "$cc" >/dev/null 2>&1; then compilers="$compilers $cc"
    else skip "everything by $cc: it is not here"; fi
done

# The manual's example, taken from the header's first comment.
{
    printf '#define SANDBOX_IMPLEMENTATION\n#include "sandbox.h"\n#include <stdio.h>\n'
    printf 'int main(void)\n{\n'
    awk '/sbx_client \*client; sbx_sandbox/, /sbx_close\(client\);/' sandbox_impl/public.h
    printf '    return 0;\n}\n'
} >"$work/manual.c"

for cc in $compilers; do
    c99="$cc -std=c99 $warn -I."
    check="$c99 -fsyntax-only tests/compile/impl.c"
    add "$cc: no switch, -O2" "$c99 -O2 -c tests/compile/impl.c -o $work/$cc-none.o"
    add "$cc: no switch, gnu17" "$cc -std=gnu17 $warn -I. -fsyntax-only tests/compile/impl.c"
    add "$cc: all switches, -Os" \
        "$c99 -Os $(define $switches) -c tests/compile/impl.c -o $work/$cc-all.o"
    for s in $switches; do
        add "$cc: only $s" "$check -D$s"
        add "$cc: all but $s" "$check $(without "$s")"
    done
    add "$cc: no host system" "$check $(define SBX_NO_POSIX SBX_NO_STDLIB SBX_NO_TLS)"
    add "$cc: manifest as a header" "$c99 -fsyntax-only tests/compile/manifest.c"
    add "$cc: big limits" "$check -DSBX_IO_BYTES=65536 -DSBX_PIECE_BYTES=16384 -DSBX_MAX_CONNS=64"
    add "$cc: least limits" "$check -DSBX_IO_BYTES=512 -DSBX_PIECE_BYTES=64 -DSBX_MAX_CONNS=1"
    add "$cc: the manual's example" "$c99 -fsyntax-only $work/manual.c"
    add "$cc: two files with SANDBOX_STATIC" \
        "$cc -std=c99 $warn -I. tests/compile/unit_a.c tests/compile/unit_b.c $tls -o $work/$cc-two && $work/$cc-two"
    if m32=$(headers32 "$cc"); then
        add "$cc: 32 bits" "$check -m32 $m32 -DSBX_NO_TLS"
    else
        skip "$cc: 32 bits: no 32-bit C headers"
    fi
done

for cxx in g++ clang++; do
    command -v $cxx >/dev/null 2>&1 || { skip "C++ by $cxx: it is not here"; continue; }
    for std in c++11 c++17; do
        for defs in "" "-DSBX_NO_POSIX -DSBX_NO_STDLIB -DSBX_SMALL"; do
            add "$cxx -std=$std: public half $defs" \
                "echo '#include \"sandbox.h\"' | $cxx -xc++ -std=$std $warn -I. $defs -fsyntax-only -"
        done
    done
    cc=gcc; [ $cxx = g++ ] || cc=clang
    add "$cxx: program" "$cc -std=c99 -O1 -I. -c tests/compile/impl.c -o $work/$cxx.o &&
        $cxx -std=c++11 $warn -I. tests/compile/use.cpp $work/$cxx.o $tls -o $work/$cxx-use && $work/$cxx-use"
done

worker() { # NUMBER: runs every $jobs-th line of the list
    awk -v k="$1" -v n=$jobs 'NR % n == k' "$list.flat" | while IFS='|' read -r name command; do
        if sh -c "$command" >"$work/out.$1" 2>&1 </dev/null; then
            echo ok
        else
            { echo "FAILED $name"; echo "    $command"; head -n 6 "$work/out.$1"; } >&2
            echo bad
        fi
    done >"$work/result.$1"
}
# A command may span lines in this file; the list has one a line.
awk '/^[^|]*\|/ && NR > 1 { printf "\n" } { printf "%s ", $0 } END { printf "\n" }' "$list" >"$list.flat"
sh=0
while [ $sh -lt $jobs ]; do worker $sh & sh=$((sh + 1)); done
wait
passed=$(cat "$work"/result.* | grep -c ok)
failed=$(($(wc -l <"$list.flat") - passed))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
