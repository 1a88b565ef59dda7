#!/bin/sh
# version.sh [--set] - SBX_VERSION of sandbox_impl/public.h is the version; the other
# places that have to spell it are compared with it, or with --set written.
set -u
version=$(sed -n 's/^#define SBX_VERSION "\(.*\)"$/\1/p' sandbox_impl/public.h)
bad=0

# FILE BEFORE: what stands before the version there, as a basic regular expression.
places() {
    cat <<'END'
sandbox_impl/public.h ^/\* sandbox\.h - v
sandbox_impl/public.h added after "sandbox\.h/
packaging/esp-idf/sandbox/idf_component.yml ^version: "
packaging/arduino/library.json ^  "version": "
packaging/arduino/library.properties ^version=
END
}

if [ "${1:-}" = --set ]; then
    minor=${version#*.} minor=${minor%.*}
    for part in "MAJOR ${version%%.*}" "MINOR $minor" "PATCH ${version##*.}"; do
        sed -i.old "s/^\(#define SBX_VERSION_${part% *}\) .*/\1 ${part#* }/" sandbox_impl/public.h
    done
    places | while read -r file before; do
        sed -i.old "s|\($before\)[0-9.]*|\1$version|" "$file"
    done
    places | while read -r file before; do rm -f "$file.old"; done
    exit 0
fi

numbers=$(sed -n 's/^#define SBX_VERSION_[MP].* //p' sandbox_impl/public.h | paste -sd. -)
[ "$numbers" = "$version" ] || { echo "SBX_VERSION_MAJOR and so on are $numbers, SBX_VERSION is $version"; bad=1; }
list=$(mktemp) || exit 1
trap 'rm -f "$list"' EXIT
places >"$list"
while read -r file before; do
    found=$(grep -o "$before[0-9.]*" "$file" | sed "s|$before||")
    [ "$found" = "$version" ] && continue
    echo "$file: '$found' behind '$before', SBX_VERSION is $version: make version"
    bad=1
done <"$list"
grep -q "^## $version\$" CHANGELOG.md || { echo "CHANGELOG.md has no section $version"; bad=1; }
exit $bad
