#!/bin/sh
# budget.sh - measures what tests/budget/limits limits: Thumb-2 text by part, the
# stack of the deepest path, structs (with arm-none-eabi-gcc), the header's length and
# compile time, the memory of a streaming command. A limit of - only shows. Compiler
# helpers and the C library don't count. The stack of 64 bits is measured with gcc.
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
        LC_ALL=C awk -f tests/budget/modules.awk $sources tests/budget/*.c - >"$build/$name.table" || exit 1
    echo "$name $(awk '$2 == "total" { print $1 }' "$build/$name.table")" >>"$values"
    echo "$name by module:"
    grep '^ ' "$build/$name.table" | sort -rn
}

# Functions that stand in the sections $1 to $2 of the public half.
functions_of() {
    awk -v from="$1" -v to="$2" '
        /^\/\* ---- [0-9]+\. / { at = $3 + 0 }
        at >= from && at <= to && match($0, /^SBX_API .*sbx_[a-z0-9_]+\(/) {
            name = substr($0, 1, RLENGTH - 1); sub(/.*[ *]/, "", name); print name
        }' "sandbox_impl/${3:-public.h}"
}

# NAME OBJECT: of NAME.ci, which the compiler wrote beside the object.
stack_of() {
    taken=$("${arm%gcc}objdump" -r "$2" 2>/dev/null |
        awk '/^RELOCATION RECORDS/ { at = $4 }
            # what a function takes of itself is its own table of jumps
            $2 == "R_ARM_ABS32" && at != "[" $3 "]:" { sub(/^\.text\./, "", $3); print $3 }' |
        sort -u)
    python3 tests/budget/stack.py "$1" "${2%.o}.ci" tests/budget/calls $taken >"$build/stack" ||
        { cat "$build/stack"; echo "budget: the call graph is not sound"; exit 1; }
    sed '$d' "$build/stack"
    tail -n 1 "$build/stack" >>"$values"
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
    $arm $thumb $small -w -c tests/budget/pack.c -o "$build/pack.o" || exit 1
    text_of text_lz "$build/pack.o" core_lz
    text_of text_pack "$build/pack.o" core_gzip core_tar
    $arm $thumb $small -w -DSBX_NO_GZIP -c tests/budget/pack.c -o "$build/stored.o" || exit 1
    text_of text_pack_stored "$build/stored.o" core_gzip core_tar
    # A firmware with every typed function, whatever else it could leave out left out.
    lean="-DSBX_NO_PROXY -DSBX_NO_REDIRECT -DSBX_NO_TRACE -DSBX_NO_GZIP -DSBX_NO_RUN_CODE
        -DSBX_NO_TEMPLATE"
    typed=$(functions_of 6 12)
    $arm $thumb $small $lean -c tests/compile/impl.c -o "$build/all.o" || exit 1
    text_of text_all "$build/all.o" $typed
    awk '$1 == "part:" { print "text_" $2, $3 }' "$build/text_all.table" >>"$values"
    # Without texts: what a firmware ships, and what each switch takes away.
    silent() { # NAME "ROOT..." FLAG...
        name=$1 roots=$2; shift 2
        $arm $thumb $small -DSBX_NO_ERROR_TEXT "$@" -c tests/compile/impl.c -o "$build/$name.o" &&
            text_of "$name" "$build/$name.o" $roots >/dev/null || exit 1
    }
    taken_away() { # NAME FLAG
        silent "without" "$typed" -DSBX_NO_TEMPLATE "$2"
        awk -v name="$1" '$1 == "full" { n = $2 } $1 == "without" { m = $2 }
            END { print name, n - m }' "$values" >"$build/difference"
        cat "$build/difference" >>"$values"
    }
    silent text_all_silent "$typed" $lean
    silent text_all_least "$typed" $lean -fno-thread-jumps
    # The build of who runs commands and moves files, and no more.
    least="$lean -DSBX_NO_PROC -DSBX_NO_EXTRAS -fno-thread-jumps -fno-reorder-blocks
        -fno-tree-dominator-opts -fno-move-loop-invariants -fno-schedule-insns2
        -fno-if-conversion -fno-tree-tail-merge"
    main_job=$(functions_of 6 9; functions_of 12 12 | grep -v -e watch -e url
        for f in create attach connect get_info list set_timeout kill is_running host id release; do
            echo sbx_sandbox_$f
        done; for f in run list kill; do echo sbx_command_$f; done)
    $arm $thumb $small $least -c tests/compile/impl.c -o "$build/job.o" || exit 1
    text_of text_main_job "$build/job.o" $main_job
    silent text_main_job_silent "$main_job" $least
    silent invoke "$typed $(functions_of 16 16)" $lean
    awk '$1 == "text_all_silent" { n = $2 } $1 == "invoke" { print "text_invoke", $2 - n }' \
        "$values" >"$build/difference"
    cat "$build/difference" >>"$values"
    silent full "$typed" -DSBX_NO_TEMPLATE
    taken_away text_proxy -DSBX_NO_PROXY
    taken_away text_redirect -DSBX_NO_REDIRECT
    taken_away text_gzip -DSBX_NO_GZIP
    taken_away text_trace -DSBX_NO_TRACE
    taken_away text_extras -DSBX_NO_EXTRAS
    taken_away text_proc -DSBX_NO_PROC
    taken_away text_pty -DSBX_NO_PTY
    taken_away text_watch -DSBX_NO_WATCH
    silent with_code "$typed sbx_run_code" -DSBX_NO_TEMPLATE
    silent without_code "$typed" -DSBX_NO_TEMPLATE -DSBX_NO_RUN_CODE
    awk '$1 == "without_code" { n = $2 } $1 == "with_code" { m = $2 }
        END { print "text_run_code", m - n }' \
        "$values" >"$build/difference"
    cat "$build/difference" >>"$values"
    builder=$(functions_of 17 20 template.h; functions_of 17 20 build.h)
    silent with_templates "$typed $builder"
    awk '$1 == "full" { n = $2 } $1 == "with_templates" { m = $2 }
        END { print "text_template", m - n }' \
        "$values" >"$build/difference"
    cat "$build/difference" >>"$values"
    $arm $thumb $small -fcallgraph-info=su,da -c tests/compile/impl.c -o "$build/whole.o" || exit 1
    text_of text_whole "$build/whole.o" \
        $("${arm%gcc}nm" -g --defined-only "$build/whole.o" | awk '{ print $3 }') >/dev/null
    stack_of stack "$build/whole.o"
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

# Servers: 64 bits, -O2, sockets and TLS, the wide loops.
if command -v gcc >/dev/null 2>&1 && [ "$(uname -m)" = x86_64 ]; then
    gcc -std=c99 -O2 -I. -fcallgraph-info=su,da -c tests/compile/impl.c -o "$build/host.o" || exit 1
    stack_of stack_64 "$build/host.o"
fi

# Prints "ram_... BYTES" lines; needs no host.
if [ -f tests/budget/ram.c ]; then
    ${CC:-cc} -std=gnu99 -O1 -I. -Itests -o "$build/ram" tests/budget/ram.c \
        ${TLS_LIBS:--lmbedtls -lmbedx509 -lmbedcrypto} || exit 1
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
            thumb = $1 ~ /^(text_|sizeof_|stack)/
            state = (armless && thumb) || $1 == "stack_64" ? "skipped" : "not measured"
            if (state != "skipped") { bad = bad "\n  " $1 " was not measured" }
        } else if ($2 != "-" && value[$1] + 0 > $2 + 0) {
            state = "TOO LARGE"; bad = bad "\n  " $1 " is " value[$1] ", the limit is " $2
        }
        printf "%-27s %7s of %6s  %-12s %s\n", $1, $1 in value ? value[$1] : "-", $2, state, what
    }
    END { if (bad) { print "budget: over a limit:" bad; exit 1 } }
' "$values" tests/budget/limits || exit 1
echo "budget: ok"
