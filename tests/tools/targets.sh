# targets.sh - for scripts (". tests/tools/targets.sh"): what is compiled for elsewhere.
#   target TARGET   sets triplet, arch (of its C library's packages) and run, the
#                   emulator, empty: runs as it is; 1: there is no such target
#   target_cc       prints its compiler, which builds static programs
#   target_ar       prints its archiver
#   target_have     1: it is not here
#   target_fetch    what no package of the system has: zig, a compiler for any musl
#   headers32 CC    prints the flags by which CC finds C headers of 32 bits; 1: none here
target() {
    case $1 in
    mips)    set -- mips-linux-gnu mips qemu-mips-static ;;
    powerpc) set -- powerpc-linux-gnu powerpc qemu-ppc-static ;;
    s390x)   set -- s390x-linux-gnu s390x qemu-s390x-static ;;
    armhf)   set -- arm-linux-gnueabihf armhf qemu-arm-static ;;
    arm64)   set -- aarch64-linux-gnu arm64 qemu-aarch64-static ;;
    riscv64) set -- riscv64-linux-gnu riscv64 qemu-riscv64-static ;;
    i386)    set -- i686-linux-gnu i386 qemu-i386-static ;;
    musl)    set -- musl musl "" ;;
    musl-arm) set -- arm-linux-musleabihf arm qemu-arm-static ;;
    *)       return 1 ;;
    esac
    triplet=$1 arch=$2 run=$3
}

zig="${BUILD:-build}/zig/bin/python -m ziglang"

target_cc() {
    case $triplet in
    musl)   echo "musl-gcc -static" ;;
    *-musl*) echo "$zig cc -target $triplet -static -fno-sanitize=undefined" \
                  "-Wno-unused-command-line-argument" ;;
    *)      echo "$triplet-gcc -static" ;;
    esac
}

target_ar() {
    case $triplet in
    musl)   echo ar ;;
    *-musl*) echo "$zig ar" ;;
    *)      echo "$triplet-ar" ;;
    esac
}

target_fetch() {
    case $triplet in
    *-musl*) [ -d "${BUILD:-build}/zig/lib" ] || python3 -m venv "${BUILD:-build}/zig"
             "${zig%% *}" -m pip install -q --disable-pip-version-check ziglang ;;
    esac
}

target_have() {
    { [ -z "$run" ] || command -v "$run" >/dev/null 2>&1; } &&
    printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' |
        $(target_cc) -x c -o /dev/null - 2>/dev/null
}

headers32() {
    for h32 in "" "-isystem /usr/i686-linux-gnu/include"; do
        printf '#include <string.h>\n' | "$1" -m32 $h32 -E -x c - >/dev/null 2>&1 || continue
        echo "$h32"
        return 0
    done
    return 1
}
