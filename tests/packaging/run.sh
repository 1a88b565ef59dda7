#!/bin/sh
# run.sh - what `make install` and `make library` put where, used as a program would:
# pkg-config, CMake, the components of packaging/ in stand-ins of their build systems,
# and the recipes of README.md as they stand there. Last line: N passed, N failed,
# N skipped.
set -u
unset MAKEFLAGS MAKELEVEL MFLAGS DESTDIR PREFIX BUILD E2B_API_KEY E2B_API_URL E2B_SANDBOX_URL
root=$(pwd -P)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}
export CFLAGS="${C_INCLUDE_PATH:+-I$C_INCLUDE_PATH} -O0"
version=$(sed -n 's/^#define SBX_VERSION "\(.*\)"$/\1/p' sandbox_impl/public.h)
here() { command -v "$1" >/dev/null 2>&1; }
say() { echo "$@" >>"$work/$group.result"; } # ok|FAILED|skipped NAME

check() { # NAME COMMAND...: its output is shown if it fails
    name=$1; shift
    if "$@" >"$work/$group.out" 2>&1 </dev/null; then say ok "$name"; return 0; fi
    say FAILED "$name"
    { echo "FAILED $name"; tail -n 12 "$work/$group.out"; } >&2
    return 1
}
with() { # TOOL NAME COMMAND...: skipped where the tool is not here
    tool=$1; shift
    if here "$tool"; then check "$@"; else echo "skipped: $1: no $tool"; say skipped "$1"; fi
}

# ---- what is installed ----

installed() {
    ${MAKE:-make} -s install DESTDIR="$work/stage" PREFIX=/usr || return 1
    (cd "$work/stage" && find . -type f | LC_ALL=C sort) >"$work/files"
    cat >"$work/expected" <<'END'
./usr/include/sandbox.h
./usr/share/cmake/sandbox/sandbox-config-version.cmake
./usr/share/cmake/sandbox/sandbox-config.cmake
./usr/share/pkgconfig/sandbox.pc
END
    diff "$work/expected" "$work/files" && cmp sandbox.h "$work/stage/usr/include/sandbox.h" || return 1
    ! grep -rn '@' "$work/stage/usr/share/pkgconfig" "$work/stage/usr/share/cmake"
}
removed() {
    ${MAKE:-make} -s install DESTDIR="$work/gone" PREFIX=/opt/x || return 1
    ${MAKE:-make} -s uninstall DESTDIR="$work/gone" PREFIX=/opt/x || return 1
    ! find "$work/gone" -type f | grep .
}
by_pkg_config() {
    export PKG_CONFIG_SYSROOT_DIR="$work/stage" PKG_CONFIG_LIBDIR="$work/stage/usr/share/pkgconfig"
    [ "$(pkg-config --modversion sandbox)" = "$version" ] || { echo "not version $version"; return 1; }
    $cc -std=c99 $CFLAGS $(pkg-config --cflags sandbox) -o "$work/by-pkg" examples/hello.c \
        $(pkg-config --libs sandbox) && says_no_key "$work/by-pkg"
}
says_no_key() { # PROGRAM: it is hello.c, and has no key
    "$1" >"$work/$group.says" 2>&1
    [ $? = 1 ] && grep E2B_API_KEY "$work/$group.says"
}
# What a version asks for is found, what another one asks for is not.
by_version() {
    for asked in "$version EXACT" "${version%.*}" ""; do find_it "$asked" || return 1; done
    for asked in 99 "${version%.*}.99" 0.0.1; do
        if find_it "$asked"; then echo "found as $asked"; return 1; fi
    done
}
find_it() { # VERSION
    mkdir -p "$work/find"
    printf 'cmake_minimum_required(VERSION 3.13)\nproject(x NONE)\nfind_package(sandbox %s REQUIRED)\n' \
        "$1" >"$work/find/CMakeLists.txt"
    printf 'if(NOT TARGET sandbox::no_tls)\nmessage(FATAL_ERROR none)\nendif()\n' >>"$work/find/CMakeLists.txt"
    rm -rf "$work/find/build"
    cmake -S "$work/find" -B "$work/find/build" -DCMAKE_PREFIX_PATH="$work/stage/usr" >"$work/find.out" 2>&1 ||
        { tail -n 5 "$work/find.out"; return 1; }
}

# ---- components ----

stand_in() { # SYSTEM "LINE of what is recorded"... -- CMAKE FLAG...
    system=$1; shift
    rm -rf "$work/$system" "$work/record" "$work/wanted"
    : >"$work/wanted"
    while [ "$1" != -- ]; do echo "$1" >>"$work/wanted"; shift; done
    shift
    : >"$work/record"
    cmake -S "tests/packaging/$system" -B "$work/$system" -DCMAKE_C_COMPILER="$cc" \
        -DRECORD="$work/record" "$@" && diff "$work/wanted" "$work/record" || return 1
    [ ! -s "$work/record" ] || { cmake --build "$work/$system" && "$work/$system/app"; }
}
arduino() {
    ${MAKE:-make} -s library BUILD="$work/build" || return 1
    lib=$work/build/library/sandbox-h
    for f in library.json library.properties LICENSE src/sandbox.h src/sandbox_arduino.h \
        src/sandbox_arduino.c; do [ -f "$lib/$f" ] || { echo "no $f"; return 1; }; done
    $cc $CFLAGS -Wall -Wextra -Werror -I"$lib/src" -c "$lib/src/sandbox_arduino.c" -o "$work/arduino.o"
}
sketch() {
    ${CXX:-c++} -std=c++11 -Wall -Wextra -Werror -I"$lib/src" tests/packaging/sketch.cpp \
        "$work/arduino.o" -o "$work/sketch" && "$work/sketch"
}

# ---- recipes ----

# recipe: the tool without which it is skipped, what comes out of it.
tool_of() {
    case $1 in
    copy) echo make ;;
    linux) echo "${CROSS_CC:-mips-linux-gnu-gcc}" ;;
    bare-metal) echo arm-none-eabi-gcc ;;
    *) echo "$1" ;;
    esac
}
recipe() { # NAME
    cd "$work/recipes/$1" && cp "$root/examples/hello.c" . || return 1
    HOME=$work/home sh -eux recipe.sh || return 1
    case $1 in
    linux) [ -s hello ] ;;
    bare-metal) arm-none-eabi-nm libsandbox.a | grep ' T sbx_open$' ;;
    *) says_no_key ./hello || says_no_key build/hello ;;
    esac
}

group=a
(
    check "the version is the same in all places" sh tests/packaging/version.sh
    check "installed files" installed
    check "removed files" removed
    with pkg-config "pkg-config, below a DESTDIR" by_pkg_config
    with cmake "find_package by version" by_version
    with python3 "manifests" python3 tests/packaging/manifests.py
    check "Arduino and PlatformIO: the library" arduino &&
        with "${CXX:-c++}" "Arduino and PlatformIO: a sketch" sketch
    with cmake "ESP-IDF component" stand_in esp-idf \
        "SRCS ../../sandbox.c INCLUDE_DIRS ../../.. PRIV_REQUIRES mbedtls" --
) &
first=$!
group=b
(
    with cmake "Zephyr module, not chosen" stand_in zephyr --
    with cmake "Zephyr module" stand_in zephyr "include ../.." \
        "define SBX_SMALL SBX_NO_POSIX SBX_NO_STDLIB SBX_NO_TLS" "library sandbox" \
        "sources ../sandbox.c" -- -DCONFIG_SANDBOX=y
    with cmake "Zephyr module with TLS" stand_in zephyr "include ../.." \
        "define SBX_SMALL SBX_NO_POSIX SBX_NO_STDLIB" "library sandbox" "sources ../sandbox.c" \
        "link mbedTLS" -- -DCONFIG_SANDBOX=y -DCONFIG_SANDBOX_TLS=y
    mkdir -p "$work/recipes" "$work/home"
    ln -s "$root" "$work/recipes/sandbox.h"
    names=$(awk -v out="$work/recipes" -f tests/packaging/recipes.awk README.md)
    [ -n "$names" ] || say FAILED "no recipes in README.md"
    for name in $names; do
        with "$(tool_of "$name")" "recipe of README: $name" recipe "$name"
        cd "$root" || exit 1
    done
)
wait $first
count() { cat "$work"/?.result | grep -c "^$1 "; }
echo "$(count ok) passed, $(count FAILED) failed, $(count skipped) skipped"
[ "$(count FAILED)" = 0 ]
