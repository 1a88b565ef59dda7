/* Percent-encoding, tokens, header values, host names, base URLs; words for a shell. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

static const sbx_alloc heap_alloc = { sbxi_std_resize, NULL };

/* A copy that ends where the text ends, so that ASan sees every overread. */
static char *exact_copy(const char *text, size_t len)
{
    char *p = (char *)malloc(len ? len : 1);
    if (!p) abort();
    if (len) memcpy(p, text, len);
    return p;
}

static void check_percent(const char *in, size_t len, unsigned mode, const char *want)
{
    sbxi_buf b;
    sbxi_span s = { in, len };
    test_row = want;
    sbxi_buf_init(&b, &heap_alloc, 4096);
    CHECK_INT(sbxi_percent(&b, s, mode), SBX_OK);
    CHECK_MEM(b.data, b.len, want, strlen(want));
    sbxi_buf_free(&b);
    test_row = NULL;
}

TEST(percent_modes)
{
    static const struct { const char *in, *segment, *form, *slash; } rows[] = {
        { "", "", "", "" },
        { "azAZ09-._~", "azAZ09-._~", "azAZ09-._~", "azAZ09-._~" },
        { "a b", "a%20b", "a+b", "a%20b" },
        { "a+b", "a%2Bb", "a%2Bb", "a%2Bb" },
        { "/home/user", "%2Fhome%2Fuser", "%2Fhome%2Fuser", "/home/user" },
        { "100%", "100%25", "100%25", "100%25" },
        { "?#&=;:@", "%3F%23%26%3D%3B%3A%40", "%3F%23%26%3D%3B%3A%40",
            "%3F%23%26%3D%3B%3A%40" },
        { "\r\n\t\x7f", "%0D%0A%09%7F", "%0D%0A%09%7F", "%0D%0A%09%7F" },
        { "\xc5\xbe\xff", "%C5%BE%FF", "%C5%BE%FF", "%C5%BE%FF" },
        { "\\\"<>[]^`{|}!$'()*,", "%5C%22%3C%3E%5B%5D%5E%60%7B%7C%7D%21%24%27%28%29%2A%2C",
            "%5C%22%3C%3E%5B%5D%5E%60%7B%7C%7D%21%24%27%28%29%2A%2C",
            "%5C%22%3C%3E%5B%5D%5E%60%7B%7C%7D%21%24%27%28%29%2A%2C" },
        { ".", "%2E", ".", "." },
        { "..", "%2E%2E", "..", ".." },
        { "...", "...", "...", "..." },
        { "a/../b", "a%2F..%2Fb", "a%2F..%2Fb", "a/../b" },
        { "..a", "..a", "..a", "..a" }
    };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        size_t n = strlen(rows[i].in);
        char *in = exact_copy(rows[i].in, n);
        check_percent(in, n, SBXI_PERCENT_SEGMENT, rows[i].segment);
        check_percent(in, n, SBXI_PERCENT_FORM, rows[i].form);
        check_percent(in, n, SBXI_PERCENT_KEEP_SLASH, rows[i].slash);
        free(in);
    }
    check_percent("a\0b", 3, SBXI_PERCENT_SEGMENT, "a%00b");
}

/* All 256 bytes: what is not unreserved is %XX and decodes to itself. */
TEST(percent_every_byte)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    unsigned c;
    for (c = 0; c < 256; c++) {
        char byte = (char)c, want[8];
        if (c && strchr(plain, (int)c)) snprintf(want, sizeof want, "%c", (int)c);
        else snprintf(want, sizeof want, "%%%02X", c);
        if (c == '.') snprintf(want, sizeof want, "%%2E"); /* alone: a path step */
        check_percent(&byte, 1, SBXI_PERCENT_SEGMENT, want);
    }
}

TEST(percent_limits)
{
    sbxi_buf b;
    sbxi_span s = sbxi_span_of("    ");
    sbxi_buf_init(&b, &heap_alloc, 11); /* one byte short of 4 x %20 */
    CHECK_INT(sbxi_percent(&b, s, SBXI_PERCENT_SEGMENT), SBX_E_TOO_LARGE);
    CHECK_INT(b.len, 9);
    CHECK_INT(sbxi_percent(&b, sbxi_span_of("a"), SBXI_PERCENT_SEGMENT), SBX_E_TOO_LARGE);
    CHECK_INT(b.len, 9); /* nothing follows a failure */
    sbxi_buf_free(&b);
    sbxi_buf_init(&b, &heap_alloc, 12);
    CHECK_INT(sbxi_percent(&b, s, SBXI_PERCENT_SEGMENT), SBX_OK);
    CHECK_INT(b.len, 12);
    sbxi_buf_free(&b);
}

TEST(token_every_byte)
{
    static const char tchar[] = "!#$%&'*+-.^_`|~0123456789"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned c;
    for (c = 0; c < 256; c++) {
        char text[3] = { 'x', 0, 'y' };
        sbxi_span s = { text, 3 };
        bool want = c && strchr(tchar, (int)c) != NULL;
        text[1] = (char)c;
        if (sbxi_is_token(s) != want) printf("byte %u\n", c);
        CHECK(sbxi_is_token(s) == want);
        s.ptr++; /* first */
        s.len--;
        CHECK(sbxi_is_token(s) == want);
        s.len--; /* alone */
        CHECK(sbxi_is_token(s) == want);
    }
    CHECK(!sbxi_is_token(sbxi_span_of("")));
    CHECK(sbxi_is_token(sbxi_span_of("X-API-Key")));
}

TEST(field_value_every_byte)
{
    unsigned c;
    for (c = 0; c < 256; c++) {
        char text[3] = { 'x', 0, 'y' };
        sbxi_span s = { text, 3 };
        bool want = c == '\t' || (c >= 0x20 && c != 0x7f);
        text[1] = (char)c;
        if (sbxi_is_field_value(s) != want) printf("byte %u\n", c);
        CHECK(sbxi_is_field_value(s) == want);
    }
    CHECK(sbxi_is_field_value(sbxi_span_of("")));
    CHECK(!sbxi_is_field_value(sbxi_span_of("key\r\nX-Injected: 1")));
}

TEST(host_names)
{
    static const struct { const char *text; bool want; } rows[] = {
        { "a", true }, { "api.e2b.app", true }, { "49983-i1a2.e2b.app", true },
        { "127.0.0.1", true }, { "under_score.example", true }, { "xn--bcher-kva.example", true },
        { "[::1]", true }, { "[::]", true }, { "[2001:db8::1]", true }, { "[::ffff:127.0.0.1]",
            true },
        { "", false }, { ".", false }, { "a.", false }, { ".a", false }, { "a..b", false },
        { "-a", false }, { "a-", false }, { "a.-b", false },
        { "a b", false }, { "a/b", false }, { "a\\b", false }, { "a@b", false },
        { "a%2Fb", false }, { "a%00b", false }, { "a:80", false }, { "a?b", false },
        { "a#b", false }, { "a\r\nb", false }, { "a\tb", false }, { "b\xc3\xbc" "cher", false },
        { "[", false }, { "[]", false }, { "[::1", false }, { "[::1]x", false },
        { "[1]", false }, { "[a:b]", false }, { "[fe80::1%eth0]", false }, { "::1", false },
        { "[::g]", false }, { "[::1]]", false }
    };
    char long_name[300];
    sbxi_span s = { long_name, SBXI_MAX_HOST };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        size_t n = strlen(rows[i].text);
        sbxi_span host = { NULL, n };
        char *copy = exact_copy(rows[i].text, n);
        host.ptr = copy;
        test_row = rows[i].text;
        CHECK(sbxi_is_host(host) == rows[i].want);
        free(copy);
    }
    test_row = NULL;
    memset(long_name, 'a', sizeof long_name);
    CHECK(sbxi_is_host(s));
    s.len++;
    CHECK(!sbxi_is_host(s));
}

typedef struct url_row {
    const char *text, *host;    /* host NULL: refused */
    int tls, port;
    const char *path;
} url_row;

static const url_row url_rows[] = {
    { "http://a", "a", 0, 80, "" },
    { "https://a", "a", 1, 443, "" },
    { "HTTPS://A.example/", "A.example", 1, 443, "" },
    { "hTTp://127.0.0.1:3000", "127.0.0.1", 0, 3000, "" },
    { "http://a:1/", "a", 0, 1, "" },
    { "http://a:65535/v1", "a", 0, 65535, "/v1" },
    { "https://a/e2b/api/", "a", 1, 443, "/e2b/api" },
    { "https://a/x//", "a", 1, 443, "/x" },
    { "https://a//", "a", 1, 443, "" },
    { "https://a/%20b", "a", 1, 443, "/%20b" },
    { "https://a/~u/@x:1", "a", 1, 443, "/~u/@x:1" },
    { "http://[::1]", "::1", 0, 80, "" },
    { "http://8", "8", 0, 80, "" }, { "http://8:9", "8", 0, 9, "" },
    { "http://[::1]:8080/p", "::1", 0, 8080, "/p" },
    { "", NULL, 0, 0, NULL }, { "a", NULL, 0, 0, NULL }, { "http:/", NULL, 0, 0, NULL },
    { "http://", NULL, 0, 0, NULL }, { "https://", NULL, 0, 0, NULL },
    { "https:/a", NULL, 0, 0, NULL }, { "https:///a", NULL, 0, 0, NULL },
    { "httpx://a", NULL, 0, 0, NULL }, { "ftp://a", NULL, 0, 0, NULL },
    { "//a", NULL, 0, 0, NULL }, { " http://a", NULL, 0, 0, NULL },
    { "http://a:", NULL, 0, 0, NULL }, { "http://a:0", NULL, 0, 0, NULL },
    { "http://a:65536", NULL, 0, 0, NULL }, { "http://a:-1", NULL, 0, 0, NULL },
    { "http://a:+80", NULL, 0, 0, NULL }, { "http://a:8 0", NULL, 0, 0, NULL },
    { "http://a:99999999999999999999999999", NULL, 0, 0, NULL },
    { "http://a:b:80", NULL, 0, 0, NULL }, { "http://:80", NULL, 0, 0, NULL },
    { "http://u@a", NULL, 0, 0, NULL }, { "http://u:p@a", NULL, 0, 0, NULL },
    { "http://a@", NULL, 0, 0, NULL }, { "http://good.example@evil.example/", NULL, 0, 0, NULL },
    { "http://a?x", NULL, 0, 0, NULL }, { "http://a/?x", NULL, 0, 0, NULL },
    { "http://a#x", NULL, 0, 0, NULL }, { "http://a/#x", NULL, 0, 0, NULL },
    { "http://a\\b", NULL, 0, 0, NULL }, { "http://a/\\b", NULL, 0, 0, NULL },
    { "http://a%2Fb/", NULL, 0, 0, NULL }, { "http://a/b c", NULL, 0, 0, NULL },
    { "http://a/b\r\nX: 1", NULL, 0, 0, NULL }, { "http://a/\x7f", NULL, 0, 0, NULL },
    { "http://a/\xc3\xbc", NULL, 0, 0, NULL }, { "http://[::1", NULL, 0, 0, NULL },
    { "http://[::1]8080", NULL, 0, 0, NULL }, { "http://::1", NULL, 0, 0, NULL }
};

TEST(url_split)
{
    size_t i;
    for (i = 0; i < SBXI_LEN(url_rows); i++) {
        const url_row *row = &url_rows[i];
        size_t n = strlen(row->text);
        char *copy = exact_copy(row->text, n);
        sbxi_span s = { copy, n };
        sbxi_url url;
        test_row = row->text;
        if (CHECK(sbxi_url_split(s, &url) == (row->host != NULL)) && row->host) {
            CHECK_MEM(url.host.ptr, url.host.len, row->host, strlen(row->host));
            CHECK_INT(url.tls, row->tls);
            CHECK_INT(url.port, row->port);
            CHECK_MEM(url.path.ptr, url.path.len, row->path, strlen(row->path));
        }
        free(copy);
    }
}

TEST(url_with_nul_inside)
{
    sbxi_url url;
    sbxi_span host = { "http://a\0b", 10 }, path = { "http://a/\0b", 11 };
    CHECK(!sbxi_url_split(host, &url));
    CHECK(!sbxi_url_split(path, &url));
}

TEST(quote_known_answers)
{
    static const struct { const char *word, *quoted; } rows[] = {
        { "", "''" }, { "a-1_@%+=:,./", "a-1_@%+=:,./" }, { "a b", "'a b'" }, { "$x", "'$x'" },
        { "~", "'~'" }, { "\n", "'\n'" }, { "'", "''\"'\"''" }, { "it's", "'it'\"'\"'s'" }
    };
    size_t k;
    for (k = 0; k < sizeof rows / sizeof *rows; k++) {
        sbxi_buf b;
        test_row = rows[k].word;
        sbxi_buf_init(&b, &heap_alloc, 64);
        CHECK_INT(sbxi_quote(&b, rows[k].word), SBX_OK);
        CHECK_MEM(b.data, b.len, rows[k].quoted, strlen(rows[k].quoted));
        sbxi_buf_free(&b);
    }
    test_row = NULL;
}

TEST(a_shell_takes_every_byte_of_a_quoted_word)
{
    char word[256], got[300];
    sbxi_buf b;
    FILE *shell;
    size_t i;
    for (i = 0; i < 255; i++) word[i] = (char)(i + 1);
    word[255] = 0;
    sbxi_buf_init(&b, &heap_alloc, 512);
    sbxi_buf_text(&b, "printf %s ");
    sbxi_quote(&b, word);
    CHECK_INT(sbxi_buf_add(&b, "", 1), SBX_OK);
    shell = popen(b.data, "r");
    REQUIRE(shell);
    i = fread(got, 1, sizeof got, shell);
    CHECK_MEM(got, i, word, 255);
    CHECK_INT(pclose(shell), 0);
    sbxi_buf_free(&b);
}
