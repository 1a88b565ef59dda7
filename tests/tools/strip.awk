# strip - blanks the comments, strings and character constants of C source, line
# by line, so that what remains can be searched for words of code.
{
    out = ""; line = $0
    while (line != "") {
        if (comment) {
            at = index(line, "*/")
            if (!at) { line = ""; break }
            line = substr(line, at + 2); comment = 0
            continue
        }
        if (!match(line, /\/\*|\/\/|"|'/)) { out = out line; break }
        mark = substr(line, RSTART, 2)
        # "#include" lines name files, not strings.
        if (out line ~ /^[ \t]*#[ \t]*include/ && mark !~ /^\//) { out = out line; break }
        out = out substr(line, 1, RSTART - 1)
        line = substr(line, RSTART)
        if (mark == "/*") { comment = 1; line = substr(line, 3); out = out " "; continue }
        if (mark == "//") break
        quote = substr(line, 1, 1); line = substr(line, 2)
        while (line != "" && substr(line, 1, 1) != quote)
            line = substr(line, substr(line, 1, 1) == "\\" ? 3 : 2)
        line = substr(line, 2); out = out quote quote
    }
    print out
}
