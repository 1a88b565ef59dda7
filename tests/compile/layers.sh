#!/bin/sh
# layers.sh - every prefix of the manifest must compile, so that a module can use
# only what stands above it.
set -u
list=sandbox_impl/sandbox_all.h
flags="-std=c99 -Wall -Wextra -Werror -Wno-unused-function -fsyntax-only -Isandbox_impl"
printf '#include <mbedtls/ssl.h>\n' | ${CC:-cc} -E -x c - >/dev/null 2>&1 || {
    echo "layers: without net/tls.c, there are no mbedTLS headers"
    flags="$flags -DSBX_NO_TLS"
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

modules=$(sed -n 's/^#include "\(.*\/.*\)"$/\1/p' $list)
sed '/^#ifdef SANDBOX_IMPLEMENTATION/q; /^#include/!d' $list | grep '^#include' >"$work/all.c"
sed -n 's/^#include "\(.*\/.*\)"$/\1/p' $list | while read -r module; do
    echo "#include \"$module\"" >>"$work/all.c"
    cp "$work/all.c" "$work/$(echo "$module" | tr / _).prefix.c"
done

check() { # MODULE
    ${CC:-cc} $flags -DSANDBOX_IMPLEMENTATION "$work/$(echo "$1" | tr / _).prefix.c" \
        >"$work/$2.out" 2>&1 && return 0
    head -n 12 "$work/$2.out"
    echo "layers: $1 uses something below it, or does not compile"
    : >"$work/failed"
    return 1
}
worker() { # NUMBER of 2
    n=0
    for module in $modules; do
        n=$((n + 1))
        [ $((n % 2)) != "$1" ] || check "$module" "$1" || return
    done
}
worker 1 & worker 0
wait
[ ! -e "$work/failed" ] || exit 1
echo "layers: ok"
