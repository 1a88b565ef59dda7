#!/bin/sh
# sanitizers.sh FLAG... - prints the flags if this compiler can build and run
# with them, else a line on stderr and nothing.
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
echo 'int main(void) { return 0; }' >"$dir/probe.c"
if ${CC:-cc} "$@" -o "$dir/probe" "$dir/probe.c" 2>/dev/null && "$dir/probe"; then
    echo "$@"
else
    echo "note: this compiler has no $*: tests run without" >&2
fi
