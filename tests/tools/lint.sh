#!/bin/sh
# lint.sh - the rules of the source that a machine can check. Says each place.
#   sandbox_impl/  no banned calls, system headers only where allowed, functions
#                  of at most 60 lines and a complexity of at most 12 (1 and one
#                  for each if, for, while, case, && || ?; a function whose comment
#                  calls it a "state machine" or a "dispatcher" may have more), at most 4 levels of nesting,
#                  100 columns, no tabs
#   everywhere     no unfinished work, no paths of somebody's machine
set -u
bad=$(mktemp "${TMPDIR:-/tmp}/lint.XXXXXX") || exit 1
trap 'rm -f "$bad"' EXIT
sources=$(find sandbox_impl -name '*.[ch]' | LC_ALL=C sort)
ours="$sources $(find tests examples packaging .ci Makefile README.md CHANGELOG.md -type f \
    ! -path 'tests/data/*' ! -path 'tests/fuzz/corpus/*' ! -path 'tests/golden/*.jsonl' ! -path 'tests/golden/*.calls' \
    ! -path tests/tools/lint.sh 2>/dev/null | LC_ALL=C sort)"

# Comments and strings must not count: strip.awk blanks both, keeping lines.
strip() { LC_ALL=C awk -f tests/tools/strip.awk "$1"; }

for file in $sources; do
    strip "$file" | LC_ALL=C awk -v file="$file" '
        /(^|[^A-Za-z0-9_])(strcpy|strcat|strncpy|strncat|v?s?n?printf|fprintf|atoi|atol|strto[a-z]+|strtok(_r)?|gets|alloca|setlocale|time|gmtime|localtime|malloc|calloc|free|abort|assert)[ \t]*\(/ {
            if (!(file ~ /base\/alloc\.c$/ && $0 ~ /[^a-z](malloc|calloc|realloc|free)\(/) &&
                !(file ~ /net\/posix\.c$/ && $0 ~ /[^a-z]time\(/))
                print file ":" NR ": banned call: " $0
        }
        /(^|[^A-Za-z0-9_])(float|double|setjmp)([^A-Za-z0-9_]|$)/ && $0 !~ /long double align_/ { print file ":" NR ": banned word: " $0 }
        /(^|[^A-Za-z0-9_])errno([^A-Za-z0-9_]|$)/ && file !~ /net\/(posix|posix_files|stream)\.c$/ { print file ":" NR ": errno" }
        /^[ \t]*#[ \t]*include[ \t]*</ {
            name = $0; sub(/^[^<]*</, "", name); sub(/>.*/, "", name)
            ok = name ~ /^(stdbool|stddef|stdint)\.h$/ && file ~ /(public|template)\.h$/
            ok = ok || name == "string.h"
            ok = ok || (name == "stdlib.h" && file ~ /base\/alloc\.c$|op\/client\.c$/)
            ok = ok || (name ~ /^(mbedtls|psa)\// && file ~ /net\/tls\.c$/)
            ok = ok || (file ~ /net\// && name !~ /^(mbedtls|psa)\//)
            if (!ok) print file ":" NR ": <" name "> is not allowed in this layer"
        }' >>"$bad"
    LC_ALL=C awk -v file="$file" '
        /\t/ { print file ":" NR ": tab" }
        length($0) > 100 { print file ":" NR ": " length($0) " columns" }
        /[ \t]$/ { print file ":" NR ": space at the end" }' "$file" >>"$bad"
    # Length, nesting, complexity, function by function; the comment above may mark it.
    { strip "$file"; echo "@@"; cat "$file"; } | LC_ALL=C awk -v file="$file" '
        !raw && $0 == "@@" { raw = 1; last = 0; n = 0; next }
        !raw { code[++lines] = $0; next }
        { text[++n] = $0 }
        END {
            for (i = 1; i <= lines; i++) {
                if (code[i] ~ /^[A-Za-z_].*\(/) start = i
                if (code[i] ~ /^\{/) { body = i; depth = 0; deepest = 0; at = i; ways = 1 }
                if (!body) continue
                ways += gsub(/&&|\|\||\?/, "&", code[i])
                words = split(code[i], word, /[^A-Za-z0-9_]+/)
                for (k = 1; k <= words; k++) ways += word[k] ~ /^(if|for|while|case)$/
                opens = gsub(/\{/, "{", code[i]); closes = gsub(/\}/, "}", code[i])
                depth += opens - closes
                if (depth > deepest) { deepest = depth; at = i }
                if (code[i] !~ /^\}/) continue
                marked = 0
                for (k = start - 1; k > 0 && k > start - 12 && code[k] !~ /[;}]/; k--)
                    if (text[k] ~ /state machine|dispatcher/) marked = 1
                if (i - body - 1 > 60 && !marked)
                    print file ":" start ": function of " i - body - 1 " lines"
                if (ways > 12 && !marked) print file ":" start ": complexity of " ways
                if (deepest - 1 > 4) print file ":" at ": nested " deepest - 1 " deep"
                body = 0
            }
        }' >>"$bad" || echo "$file: awk failed" >>"$bad"
done

for file in $ours; do
    [ -f "$file" ] || continue
    LC_ALL=C grep -nE '(^|[^A-Za-z_])(TODO|FIXME|XXX|HACK)([^A-Za-z_]|$)' "$file" |
        sed "s|^|$file: unfinished: |" >>"$bad"
    LC_ALL=C grep -nE '/(work|Users)/[A-Za-z0-9_]' "$file" |
        sed "s|^|$file: path of a machine: |" >>"$bad"
    LC_ALL=C grep -nE ' 	|[ 	]$' "$file" | grep -v '\.md:' |
        sed "s|^|$file: space at the end: |" >>"$bad"
done

# The licence at the end of the header is LICENSE itself.
sed -e '1d' -e '$d' sandbox_impl/license.h | cmp -s - LICENSE ||
    echo "sandbox_impl/license.h: not the text of LICENSE" >>"$bad"

if [ -s "$bad" ]; then
    cat "$bad"
    echo "lint: $(wc -l <"$bad") places to mend"
    exit 1
fi
echo "lint: ok"
