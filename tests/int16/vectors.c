/* vectors - where a sum, a shift or a product of 16 bits would be too narrow: known
   answers of the core. Built where int and size_t have 16 bits, but true anywhere. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

#define PIECES 700u /* of 100 bytes each: more than 16 bits can count */

static void piece(unsigned char *out, uint32_t at)
{
    unsigned i;
    for (i = 0; i < 100; i++, at++) out[i] = (unsigned char)(at * 7 + at / 256);
}

static void hex(char *out, const unsigned char *in, unsigned n)
{
    for (; n; n--, in++) {
        *out++ = (char)(sbxi_hex[*in >> 4] | 0x20);
        *out++ = (char)(sbxi_hex[*in & 15] | 0x20);
    }
    *out = 0;
}

TEST(checksums_of_70000_bytes)
{
    unsigned char block[100], sum[32];
    char text[65];
    uint32_t crc = 0, i;
    sbx_sha256 sha;
    sbx_sha256_init(&sha);
    for (i = 0; i < PIECES; i++) {
        piece(block, i * 100);
        sbx_sha256_add(&sha, block, sizeof block);
        crc = sbxi_crc32(crc, block, sizeof block);
    }
    sbx_sha256_end(&sha, sum);
    hex(text, sum, sizeof sum);
    CHECK_STR(text, "66bdfbd332a0175bed5ba96bfea8fe0f303a3325dccb2a6eecdba1293c160dbe");
    CHECK_INT(crc, 0x59afa61b);
}

TEST(numbers_of_64_bits)
{
    static const struct { uint64_t value; const char *text; } rows[] = { { 0, "0" },
        { 65535, "65535" }, { 65536, "65536" }, { 2147483648u, "2147483648" },
        { 4294967296u, "4294967296" }, { UINT64_MAX, "18446744073709551615" } };
    unsigned i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        char text[SBXI_DECIMAL_MAX + 1];
        uint64_t back = 1;
        test_row = rows[i].text;
        text[sbxi_print_u64(text, rows[i].value)] = 0;
        CHECK_STR(text, rows[i].text);
        CHECK(sbxi_parse_u64(sbxi_span_of(text), UINT64_MAX, &back));
        CHECK(back == rows[i].value);
        CHECK(!rows[i].value || !sbxi_parse_u64(sbxi_span_of(text), rows[i].value - 1, &back));
    }
}

static int to_memory(void *ctx, const sbx_json_event *e)
{
    sbx_sink s = sbx_sink_memory((sbx_memory *)ctx);
    return e->type == SBX_JSON_STRING ? s.put(s.ctx, e->text, e->len) : SBX_OK;
}

/* Every split gives the same text: escapes above 16 bits, too. */
TEST(json_strings)
{
    static const char text[] = "{\"a\":[\"\\ud83d\\ude00 \\u00e4\\uffff\",-12345678901,true],\"b\":\"z\"}";
    unsigned step;
    for (step = 1; step < sizeof text; step++) {
        char room[32];
        sbx_memory memory = { room, sizeof room, 0, 0 };
        sbx_json_reader r;
        size_t at, n;
        sbx_json_init(&r, to_memory, &memory);
        for (at = 0; at < sizeof text - 1; at += n) {
            n = SBXI_MIN(step, sizeof text - 1 - at);
            CHECK_INT(sbx_json_feed(&r, text + at, n, NULL), SBX_OK);
        }
        CHECK_INT(sbx_json_end(&r), SBX_OK);
        CHECK_MEM(room, memory.len, "\xf0\x9f\x98\x80 \xc3\xa4\xef\xbf\xbfz", 11);
    }
}

static int count_body(void *ctx, const char *data, size_t len, size_t *used)
{
    (void)data;
    *(uint32_t *)ctx += (uint32_t)len;
    *used = len;
    return SBX_OK;
}

/* A body and a chunk that are longer than 16 bits can say. */
TEST(http_bodies_of_70000_bytes)
{
    static const char *const heads[] = { "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n" };
    static const sbx_http_events events = { NULL, NULL, count_body };
    unsigned i, k;
    for (i = 0; i < 2; i++) {
        static char line[SBX_MAX_LINE], body[100];
        uint32_t seen = 0;
        size_t used;
        sbx_http_reader r;
        int rc = SBX_PENDING;
        test_row = heads[i];
        sbx_http_init(&r, line, sizeof line, false, &events, &seen);
        CHECK_INT(sbx_http_feed(&r, heads[i], strlen(heads[i]), &used), SBX_PENDING);
        for (k = 0; k < PIECES; k++) rc = sbx_http_feed(&r, body, sizeof body, &used);
        if (i) rc = sbx_http_feed(&r, "\r\n0\r\n\r\n", 7, &used);
        CHECK_INT(rc, SBX_OK);
        CHECK(seen == 70000u);
    }
}

TEST(base64_of_all_bytes)
{
    unsigned char in[256], out[300];
    char text[SBX_BASE64_LEN(256)];
    sbx_base64 state = { 0, 0, 0 };
    size_t n, got = 0, len;
    for (n = 0; n < sizeof in; n++) in[n] = (unsigned char)(255 - n);
    len = sbx_base64_encode(text, in, sizeof in);
    CHECK_INT(len, sizeof text);
    for (n = 0; n < len; n++) {
        size_t one = 0;
        CHECK_INT(sbx_base64_decode(&state, text + n, 1, out + got, &one), SBX_OK);
        got += one;
    }
    CHECK_INT(sbx_base64_end(&state), SBX_OK);
    CHECK_MEM(out, got, in, sizeof in);
}

TEST(versions)
{
    CHECK(sbxi_version("1.22.3") == ((uint32_t)1 << 20 | (uint32_t)22 << 10 | 3));
    CHECK(sbxi_version("1.22.3") > sbxi_version("1.21.1023"));
}
