#!/bin/sh
# matrix.sh [--check] - puts the feature table of the provider tables between the
# markers in README.md; with --check it only fails if that would change it.
set -eu
cc=${CC:-cc}
mkdir -p build
"$cc" -std=c99 -w -o build/matrix tests/tools/matrix.c
build/matrix >build/matrix.md
awk -v table=build/matrix.md '
    /^<!-- matrix -->$/ { print; while ((getline line < table) > 0) print line; skip = 1; next }
    /^<!-- \/matrix -->$/ { skip = 0 }
    !skip { print }' README.md >build/README.md
if [ "${1:-}" = --check ]; then
    cmp -s build/README.md README.md || { echo "README.md: the matrix is stale: make matrix"; exit 1; }
    echo "matrix: ok"
else
    cmp -s build/README.md README.md || cp build/README.md README.md
fi
