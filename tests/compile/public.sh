#!/bin/sh
# public.sh - the public half: at most 1,500 lines, valid C99 and C++11 alone.
set -u
header=sandbox_impl/public.h
lines=$(wc -l <$header)
strict="-pedantic -Wall -Wextra -Wconversion -Wshadow -Wundef -Werror -fsyntax-only -Isandbox_impl"
bad=0
[ "$lines" -le 1500 ] || { echo "public: $lines lines, the limit is 1500"; bad=1; }
for defs in "" "-DSBX_SMALL -DSBX_NO_POSIX -DSBX_NO_STDLIB"; do
    echo '#include "public.h"' | ${CC:-cc} -xc -std=c99 -Wstrict-prototypes $defs $strict - || bad=1
    if command -v "${CXX:-c++}" >/dev/null 2>&1; then
        echo '#include "public.h"' | ${CXX:-c++} -xc++ -std=c++11 $defs $strict - || bad=1
    elif [ -z "$defs" ]; then
        echo "public cplusplus: skipped (no C++ compiler)"
    fi
done
[ $bad = 0 ] || exit 1
echo "public: ok"
