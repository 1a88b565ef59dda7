# amalgamate - packs the manifest into one file: every local #include is inlined
# where it stands, once; nothing else changes. POSIX awk.
#     LC_ALL=C awk -v dir=sandbox_impl -f amalgamate.awk sandbox_impl/sandbox_all.h
# With -v lines=1 it adds #line, so that compilers and coverage name the modules.
function die(why) { print "amalgamate: " why > "/dev/stderr"; failed = 1; exit 1 }
function inline_file(path,    line, part, number, got) {
    while ((got = (getline line < path)) > 0) {
        number++
        if (line !~ /^#[ \t]*include[ \t]*"/) { print line; continue }
        split(line, part, "\"")
        if (part[2] in seen) die(path ":" number ": " part[2] " is included twice")
        seen[part[2]] = 1
        if (lines) printf "#line 1 \"%s/%s\"\n", dir, part[2]
        inline_file(dir "/" part[2])
        if (lines) printf "#line %d \"%s\"\n", number + 1, path
    }
    if (got < 0) die("cannot read " path)
    close(path)
}
BEGIN { inline_file(ARGV[1]); exit failed }
