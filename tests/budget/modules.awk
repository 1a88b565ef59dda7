# modules - sums the sections of an object (size -A -x or -d) by module, and by part:
# the lines "part: NAME BYTES". A folder is a part, but json/ counts its three apart
# and the rest of net/ is "exchange" (sockets and TLS are not measured here).
# Usage: awk -f modules.awk SOURCES... - <sections
# The sources say which function or table stands in which file; a function that
# was inlined counts where it was inlined.
FILENAME != "-" {
    if ($0 !~ /^[A-Za-z]/ || /^#/ || /^typedef/) next
    file = FILENAME; sub(/^sandbox_impl\//, "", file)
    text = $0; sub(/[ ]*[=({;\[].*/, "", text); sub(/.*[ *]/, "", text)
    # A function: the word before "("; "static const x name[] = {": before "[".
    if (text != "" && !(text in module)) module[text] = file
    next
}
$1 ~ /^\.(text|rodata)/ {
    name = $1; sub(/^\.(text|rodata)\.?/, "", name)
    sub(/^(unlikely|hot|startup)\./, "", name)
    sub(/\.(str1\.[0-9]+|cst[0-9]+|part\.[0-9]+|constprop\.[0-9]+|isra\.[0-9]+).*/, "", name)
    base = name; sub(/\..*/, "", base)
    if (base ~ /^core_/ || $2 + 0 == 0) next
    where = base in module ? module[base] : "(shared texts and local tables)"
    bytes[where] += $2; all += $2
    part = where; sub(/\.[ch]$/, "", part)
    if (part !~ /^json\//) sub(/\/.*/, "", part)
    if (part == "net") part = "exchange"
    if (part ~ /^\(/) part = "shared"
    sub(/\//, "_", part)
    parts[part] += $2
}
END {
    for (m in bytes) printf "  %6d  %s\n", bytes[m], m
    for (p in parts) printf "part: %s %d\n", p, parts[p]
    printf "%d total\n", all
}
