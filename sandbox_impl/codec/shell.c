/* shell - quoting of a word for a POSIX shell. Pure. Used by what becomes a command
   there: steps of templates, and the options of a gateway. */

/* Appends the word in quotes. */
static SBXI_MAYBE int sbxi_quoted(sbxi_buf *out, const char *word)
{
    const char *quote;
    sbxi_buf_text(out, "'");
    while ((quote = strchr(word, '\'')) != NULL) {
        sbxi_buf_add(out, word, (size_t)(quote - word));
        sbxi_buf_text(out, "'\"'\"'");
        word = quote + 1;
    }
    sbxi_buf_text(out, word);
    return sbxi_buf_text(out, "'");
}

/* Appends the word: as it is when nothing in it needs quotes. */
static SBXI_MAYBE int sbxi_quote(sbxi_buf *out, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        "0123456789_@%+=:,./-";
    if (word[0] && !word[strspn(word, plain)]) return sbxi_buf_text(out, word);
    return sbxi_quoted(out, word);
}
