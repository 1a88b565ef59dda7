#!/bin/sh
# public.sh - the public half: each of its files has at most 1,500 lines, together
# they are valid C99 and C++11.
set -u
files=$(sed -n '/^#ifdef SANDBOX_IMPLEMENTATION/q; s/^#include "\(.*\)"$/\1/p' sandbox_impl/sandbox_all.h)
strict="-pedantic -Wall -Wextra -Wconversion -Wshadow -Wundef -Werror -fsyntax-only -Isandbox_impl"
bad=0
for f in $files; do
    lines=$(wc -l <"sandbox_impl/$f")
    [ "$lines" -le 1500 ] || { echo "public: $f has $lines lines, the limit is 1500"; bad=1; }
done
source=$(for f in $files; do echo "#include \"$f\""; done)
for defs in "" "-DSBX_SMALL -DSBX_NO_POSIX -DSBX_NO_STDLIB -DSBX_NO_RUN_CODE -DSBX_NO_TEMPLATE"; do
    echo "$source" | ${CC:-cc} -xc -std=c99 -Wstrict-prototypes $defs $strict - || bad=1
    if command -v "${CXX:-c++}" >/dev/null 2>&1; then
        echo "$source" | ${CXX:-c++} -xc++ -std=c++11 $defs $strict - || bad=1
    elif [ -z "$defs" ]; then
        echo "public cplusplus: skipped (no C++ compiler)"
    fi
done
[ $bad = 0 ] || exit 1
echo "public: ok"
