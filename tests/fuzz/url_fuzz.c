/* Percent-encoding decodes to what went in and holds no byte that a request line
   could not carry; a URL that is accepted has only harmless parts, all of them
   inside the text; multipart names stay inside their quotes. Input: any text. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

static void *heap(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_size);
}
static const sbx_alloc heap_alloc = { heap, NULL };

static void check_percent(const char *text, size_t len, unsigned mode)
{
    sbxi_span s = { text, len };
    sbxi_buf b;
    size_t i, n = 0;
    sbxi_buf_init(&b, &heap_alloc, 3 * len);
    FUZZ_REQUIRE(sbxi_percent(&b, s, mode) == SBX_OK);
    for (i = 0; i < b.len; i++, n++) {
        char c = b.data[i];
        FUZZ_REQUIRE(c > ' ' && c < 0x7f && n < len);
        FUZZ_REQUIRE(c != '/' || mode == SBXI_PERCENT_KEEP_SLASH);
        FUZZ_REQUIRE(!strchr("?#&=;\\\"", c));
        if (c == '+') {
            FUZZ_REQUIRE(mode == SBXI_PERCENT_FORM);
            c = ' ';
        } else if (c == '%') {
            FUZZ_REQUIRE(i + 2 < b.len);
            c = (char)(sbxi_hex_value(b.data[i + 1]) * 16 + sbxi_hex_value(b.data[i + 2]));
            i += 2;
        }
        FUZZ_REQUIRE(c == text[n]);
    }
    FUZZ_REQUIRE(n == len);
    sbxi_buf_free(&b);
}

static void check_url(const char *text, size_t len)
{
    sbxi_span s = { text, len };
    sbxi_url url;
    size_t i;
    if (!sbxi_url_split(s, &url)) return;
    FUZZ_REQUIRE(url.port > 0 && url.host.len > 0);
    FUZZ_REQUIRE(url.host.ptr >= text && url.host.ptr + url.host.len <= text + len);
    FUZZ_REQUIRE(url.path.ptr >= text && url.path.ptr + url.path.len <= text + len);
    for (i = 0; i < url.host.len; i++)
        FUZZ_REQUIRE(sbxi_is_alnum(url.host.ptr[i]) || strchr(".-_:", url.host.ptr[i]));
    for (i = 0; i < url.path.len; i++)
        FUZZ_REQUIRE(url.path.ptr[i] > ' ' && url.path.ptr[i] < 0x7f
            && !strchr("?#\\", url.path.ptr[i]));
    FUZZ_REQUIRE(!url.path.len || (url.path.ptr[0] == '/' && url.path.ptr[i - 1] != '/'));
}

/* Line breaks and quotes of the head are ours alone. */
static void check_multipart(const char *name)
{
    sbxi_buf b;
    size_t i, breaks = 0, quotes = 0;
    sbxi_buf_init(&b, &heap_alloc, 1 << 22);
    FUZZ_REQUIRE(sbxi_multipart_part(&b, "B", true, "file", name) == SBX_OK);
    for (i = 0; i < b.len; i++) {
        breaks += b.data[i] == '\n';
        quotes += b.data[i] == '"';
    }
    FUZZ_REQUIRE(breaks == 4 && quotes == 4);
    sbxi_buf_free(&b);
}

FUZZ_TARGET(data, size)
{
    char *text = fuzz_copy(data, size), *name = fuzz_text(data, size);
    check_percent(text, size, SBXI_PERCENT_SEGMENT);
    check_percent(text, size, SBXI_PERCENT_FORM);
    check_percent(text, size, SBXI_PERCENT_KEEP_SLASH);
    check_url(text, size);
    check_multipart(name);
    free(name);
    free(text);
}
