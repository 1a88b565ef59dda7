#!/bin/sh
# cross.sh [--quick] TARGET... - for each target: builds static programs, runs them under
# an emulator: unit tests and recordings, and with TLS on sandboxd, which runs as this
# machine. --quick: neither TLS nor sandboxd. What they said is in build/cross/TARGET*/log.
# Closing line of each: cross TARGET: ok (N tests), or skipped (why).
set -u
. tests/tools/targets.sh
. tests/live/hosts.sh
build=${BUILD:-build}/cross
host_build=${BUILD:-build}
quick= rc=0 source= no_tls= no_host=
[ "${1:-}" = --quick ] && { quick=1; shift; }
jobs=$(nproc 2>/dev/null || echo 2)
mkdir -p "$build"
work=$(mktemp -d "${TMPDIR:-/tmp}/sbx-cross.XXXXXX") || exit 1
chmod 711 "$work"
trap 'hosts_stop; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# What all targets share: the source of mbedTLS, a host that runs as this machine.
prepare() {
    if sh tests/tools/mbedtls.sh trixie "$host_build/mbedtls-3.6" >"$build/mbedtls.log" 2>&1
    then source=$host_build/mbedtls-3.6
    else no_tls=$(tail -n 1 "$build/mbedtls.log"); fi
    sh tests/tools/need.sh openssl >"$build/host.log" 2>&1 &&
        ${MAKE:-make} -s sandboxd >>"$build/host.log" 2>&1 &&
        hosts_start "$work" >>"$build/host.log" 2>&1 ||
        no_host="sandboxd does not run here: $build/host.log"
}

mbedtls() { # as small as can be; the usual configuration. Files as our header has them: the
    # emulator hands places in a directory of 64 bits to readdir()
    mkdir -p "$dir/mbedtls"
    for file in "$source"/library/*.c; do basename "$file" .c; done | xargs -P "$jobs" -I% \
        $cc -Os -D_FILE_OFFSET_BITS=64 -I"$source/include" -I"$source/library" \
        -c -o "$dir/mbedtls/%.o" "$source/library/%.c" &&
        $(target_ar) cr "$libs.new" "$dir"/mbedtls/*.o && mv "$libs.new" "$libs"
}

make_it() { # FILE...: what the Makefile builds, as the target's; without sanitizers
    ${MAKE:-make} -s -k -j"$jobs" BUILD="$dir" SAN= CC="$cc" TLS_LIBS="$libs" "$@"
}

# A line for tally.sh for each program; they ran side by side before it looks.
ran() { # PROGRAM...
    printf '%s\n' "$@" | BUILD=$dir xargs -P "$jobs" -I% sh -c \
        'timeout -k 5 300 $0 % >%.out 2>&1 </dev/null; echo $? >%.rc' "$run"
    for program in "$@"; do
        echo "cat $program.out; exit \$(cat $program.rc)"
    done
}

live() { # PROGRAM...: the same for what runs on the hosts
    for program in "$@"; do
        echo "sh tests/live/on.sh plain $run $program"
        [ -z "$source" ] || echo "sh tests/live/on.sh tls $run $program"
    done
}

# A program that a test starts: by the emulator.
wrap() { # PROGRAM
    [ -n "$run" ] && [ "$(head -c 2 "$1")" != "#!" ] || return 0
    mv "$1" "$1.bin"
    printf '#!/bin/sh\nexec %s %s.bin "$@"\n' "$run" "$1" >"$1"
    chmod 755 "$1"
}

# 32-bit types in formats and conversions show as warnings.
strict="-std=c99 -pedantic -Wall -Wextra -Wconversion -Wshadow -Werror -I. -fsyntax-only"

one() { # all of it, the last line is the sum
    cc=$(target_cc) libs= units= lives= tls=-DSBX_NO_TLS=
    if [ -n "$source" ]; then
        tls=-I$source/include libs=$dir/libmbedtls.a
        [ -f "$libs" ] || mbedtls || return 1
    fi
    cc="$cc $tls"
    for test in tests/unit/*_test.c; do
        [ -n "$source" ] || ! grep -q mbedtls_ "$test" || continue
        test=${test##*/}
        units="$units $dir/unit/${test%.c}"
    done
    if [ -z "$quick$no_host" ]; then
        for test in sandbox command files; do lives="$lives $dir/live/${test}_test"; done
    fi
    [ -z "$source" ] || { make_it "$dir/tls-verdict" && wrap "$dir/tls-verdict"; }
    make_it $units "$dir/golden" $lives
    {
        echo "$cc $strict tests/compile/impl.c"
        echo "$cc $strict $(echo examples/*.c)"
        ran $units
        echo "$run $dir/golden tests/golden/e2b.jsonl tests/golden/e2b.calls"
        live $lives
    } >"$dir/list"
    set --
    while IFS= read -r line; do set -- "$@" "$line"; done <"$dir/list"
    sh tests/tools/tally.sh -t 300 "$@"
}

[ -n "$quick" ] || prepare
for t in "$@"; do
    target "$t" || { echo "cross $t: no such target (tests/tools/targets.sh)"; rc=1; continue; }
    dir=$build/$t
    [ -n "$source" ] || dir=$dir-plain # what was built with TLS is no use without, and back
    mkdir -p "$dir"
    log=$dir/log
    if ! target_have; then
        command -v apt-get >/dev/null 2>&1 ||
            { echo "cross $t: skipped (its compiler is not here, and no apt-get)"; continue; }
        { timeout 600 sh tests/tools/need.sh "cross-$t?"; target_fetch; } >"$log" 2>&1
        target_have || { echo "cross $t: skipped (its tools cannot be installed: $log)"; continue; }
    fi
    one >"$log" 2>&1 </dev/null
    sum=$(tail -n 1 "$log")
    case $sum in
    *" passed, 0 failed, "*) echo "cross $t: ok (${sum%% *} tests)" ;;
    *)  grep -E '^FAILED|: error:|^tests/.* is |^tally: |^qemu: ' "$log" | head -n 20
        echo "cross $t: failed ($sum; all of it: $log)"
        rc=1 ;;
    esac
done
[ -z "$no_tls" ] || echo "cross tls: skipped ($no_tls)"
[ -z "$no_host" ] || echo "cross live: skipped ($no_host)"
exit $rc
