/* base64, SHA-256 and dates against known answers, and at every split. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

/* ---- base64 --------------------------------------------------------------- */

static const struct { const char *plain, *text; } rfc4648[] = {
    { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }
};

/* Decodes in steps; -1 when refused, else the length. */
static int decode(const char *text, size_t step, unsigned char *out)
{
    sbx_base64 s = { 0, 0, 0 };
    size_t n = strlen(text), i, got, total = 0;
    for (i = 0; i < n; i += step) {
        size_t k = n - i < step ? n - i : step;
        unsigned char piece[4096];
        CHECK(k / 4 * 3 + 3 <= sizeof piece);
        if (sbx_base64_decode(&s, text + i, k, piece, &got) != SBX_OK) return -1;
        CHECK(got <= k / 4 * 3 + 3);
        memcpy(out + total, piece, got);
        total += got;
    }
    return sbx_base64_end(&s) == SBX_OK ? (int)total : -1;
}

TEST(base64_known_answers)
{
    size_t k, step;
    char text[16];
    unsigned char out[16];
    for (k = 0; k < SBXI_LEN(rfc4648); k++) {
        size_t n = strlen(rfc4648[k].plain);
        test_row = rfc4648[k].plain;
        CHECK_MEM(text, sbx_base64_encode(text, rfc4648[k].plain, n), rfc4648[k].text,
            SBX_BASE64_LEN(n));
        for (step = 1; step < 10; step++) {
            int got = decode(rfc4648[k].text, step, out);
            CHECK_INT(got, n);
            if (got >= 0) CHECK_MEM(out, (size_t)got, rfc4648[k].plain, n);
        }
    }
    test_row = NULL;
}

TEST(base64_round_trip)
{
    static unsigned char in[700], out[700];
    static char text[1000];
    size_t n, i;
    for (n = 0; n < sizeof in; n += 1 + n / 9) {
        for (i = 0; i < n; i++) in[i] = (unsigned char)test_random();
        i = sbx_base64_encode(text, in, n);
        text[i] = 0;
        CHECK_INT(i, SBX_BASE64_LEN(n));
        CHECK_MEM(out, (size_t)decode(text, 1 + test_random() % 40, out), in, n);
        while (i && text[i - 1] == '=') text[--i] = 0; /* padding is optional */
        CHECK_MEM(out, (size_t)decode(text, 1 + test_random() % 40, out), in, n);
    }
}

/* Every byte at every place of a text long enough for the wide loop, decoded into
   exactly the room it needs: as byte by byte. */
TEST(base64_wide_loop_judges_as_the_plain_one)
{
    size_t at, n, i;
    unsigned c;
    for (n = 44; n <= 76; n += 4)
        for (at = 0; at < n; at++)
            for (c = 0; c < 256; c++) {
                char text[80], plain[60], *out = (char *)malloc(n / 4 * 3);
                sbx_base64 s = { 0, 0, 0 }, t = { 0, 0, 0 };
                size_t got = 0, piece = 0, total = 0;
                int rc, want = SBX_OK;
                if (!out) abort();
                for (i = 0; i < n; i++) text[i] = "AZaz09+/"[(i * 5 + at) & 7];
                text[at] = (char)c;
                rc = sbx_base64_decode(&s, text, n, out, &got);
                for (i = 0; i < n && want == SBX_OK; i++, total += piece)
                    want = sbx_base64_decode(&t, text + i, 1, plain + total, &piece);
                CHECK(rc == want && got == total && memcmp(out, plain, got) == 0);
                free(out);
            }
}

TEST(base64_refuses)
{
    static const char *const bad[] = { "A", "AAAAA", "=", "A=", "AA=", "AAA==", "AA===", "AAA=A",
        "AA==A", "AAAA=", "AAAA\nAAAA", "AA AA", "AAA.", "\xc3\xa9ZZ", "AA=A", "AAAAAAA*" };
    unsigned char out[32];
    size_t k, step;
    for (k = 0; k < SBXI_LEN(bad); k++)
        for (step = 1; step < 9; step++) {
            test_row = bad[k];
            CHECK_INT(decode(bad[k], step, out), -1);
        }
    test_row = NULL;
}

TEST(base64_every_byte_is_a_letter_or_refused)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned c, at;
    for (c = 1; c < 256; c++)
        for (at = 0; at < 4; at++) {
            const char *found = strchr(letters, c == '-' ? '+' : c == '_' ? '/' : (int)c);
            char text[5] = "AAAA";
            unsigned char out[8], want[3];
            uint32_t v = found ? (uint32_t)(found - letters) << (18 - 6 * at) : 0;
            text[at] = (char)c;
            want[0] = (unsigned char)(v >> 16);
            want[1] = (unsigned char)(v >> 8);
            want[2] = (unsigned char)v;
            if (found) {
                CHECK_INT(decode(text, 4, out), 3);
                CHECK_MEM(out, 3, want, 3);
                CHECK_INT(decode(text, 1, out), 3);
                CHECK_MEM(out, 3, want, 3);
            } else if (c != '=' || at != 3) {
                CHECK_INT(decode(text, 4, out), -1);
            }
        }
}

TEST(base64_in_place)
{
    char text[] = "Zm9vYmFyZm9vYmFy";
    sbx_base64 s = { 0, 0, 0 };
    size_t got;
    CHECK_INT(sbx_base64_decode(&s, text, strlen(text), text, &got), SBX_OK);
    CHECK_MEM(text, got, "foobarfoobar", 12);
}

/* ---- SHA-256 -------------------------------------------------------------- */

static const char *sha(const char *data, size_t len, size_t step)
{
    static char hex[65];
    unsigned char sum[32];
    sbx_sha256 s;
    size_t i;
    sbx_sha256_init(&s);
    for (i = 0; i < len; i += step) sbx_sha256_add(&s, data + i, len - i < step ? len - i : step);
    sbx_sha256_end(&s, sum);
    for (i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return hex;
}

TEST(sha256_known_answers)
{
    static const struct { const char *text, *hex; } rows[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" }
    };
    size_t k, step;
    for (k = 0; k < SBXI_LEN(rows); k++)
        for (step = 1; step < 70; step++)
            CHECK_STR(sha(rows[k].text, strlen(rows[k].text), step), rows[k].hex);
}

TEST(sha256_million_a_and_every_padding)
{
    static char a[1000000];
    size_t n;
    char whole[65];
    memset(a, 'a', sizeof a);
    CHECK_STR(sha(a, sizeof a, 4093),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    CHECK_STR(sha(a, 64, 64), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    CHECK_STR(sha(a, 55, 55), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    CHECK_STR(sha(a, 56, 56), "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    for (n = 0; n < 200; n++) {
        strcpy(whole, sha(a, n, 200));
        CHECK_STR(sha(a, n, 1), whole);
    }
}

/* ---- dates ---------------------------------------------------------------- */

TEST(time_rfc3339)
{
    static const struct { const char *text; int64_t ms; } rows[] = {
        { "1970-01-01T00:00:00Z", 0 }, { "1970-01-01T00:00:00.001Z", 1 },
        { "2000-02-29T12:34:56Z", 951827696000 }, { "2024-02-29T23:59:59.999Z", 1709251199999 },
        { "2024-12-31T23:59:60Z", 1735689600000 }, { "9999-12-31T23:59:59Z", 253402300799000 },
        { "2024-01-02T03:04:05.678901234567890Z", 1704164645678 },
        { "2024-01-02T03:04:05.6Z", 1704164645600 }, { "2024-01-02t03:04:05z", 1704164645000 },
        { "2024-01-02 03:04:05+00:00", 1704164645000 }, { "2024-01-02T03:04:05+05:30", 1704144845000 },
        { "2024-01-02T03:04:05-08:00", 1704193445000 }, { "2024-01-02T03:04:05-00:00", 1704164645000 },
        { "2100-03-01T00:00:00Z", 4107542400000 }, { "1970-01-01T00:00:00+01:00", -3600000 }
    };
    size_t k, n;
    for (k = 0; k < SBXI_LEN(rows); k++) {
        int64_t ms = 42;
        test_row = rows[k].text;
        CHECK(sbxi_parse_time(rows[k].text, &ms));
        CHECK_INT(ms, rows[k].ms);
        /* Every beginning of it is refused, and nothing beyond is read. */
        for (n = 0; n < strlen(rows[k].text); n++) {
            char *part = (char *)malloc(n + 1);
            REQUIRE(part != NULL);
            memcpy(part, rows[k].text, n);
            part[n] = 0;
            ms = 42;
            CHECK(!sbxi_parse_time(part, &ms) && ms == 42);
            free(part);
        }
    }
    test_row = NULL;
}

TEST(time_rfc3339_refuses)
{
    static const char *const bad[] = { "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z", "2024-00-01T00:00:00Z", "2024-13-01T00:00:00Z",
        "2024-01-00T00:00:00Z", "2024-04-31T00:00:00Z", "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z", "2024-01-01T00:00:61Z", "1969-12-31T23:59:59Z",
        "2024-1-01T00:00:00Z", "24-01-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01",
        "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00ZZ", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00-01:60",
        "2024-01-01T00:00:00+0100", "+024-01-01T00:00:00Z", "2024-01-01T00:00:0aZ", "",
        "2024/01/01T00:00:00Z", "2024-01-01X00:00:00Z" };
    size_t k;
    for (k = 0; k < SBXI_LEN(bad); k++) {
        int64_t ms = 42;
        test_row = bad[k];
        CHECK(!sbxi_parse_time(bad[k], &ms) && ms == 42);
    }
    test_row = NULL;
}

TEST(time_every_day_is_one_later)
{
    static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int y, m, d;
    int64_t want = 0, ms = 0;
    for (y = 1970; y < 2420; y++)
        for (m = 1; m <= 12; m++)
            for (d = 1; d <= days[m - 1] + (m == 2 && ((y % 4 == 0 && y % 100 != 0) || y % 400 == 0)); d++) {
                char text[40];
                snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", y, m, d);
                if (!sbxi_parse_time(text, &ms) || ms != want) {
                    test_row = text;
                    CHECK_INT(ms, want);
                    return;
                }
                want += 86400000;
            }
}

TEST(time_printed_is_read_back)
{
    static const struct { int64_t ms; const char *text; } rows[] = {
        { 0, "1970-01-01T00:00:00+00:00" }, { -1, "1970-01-01T00:00:00+00:00" },
        { 951827696789, "2000-02-29T12:34:56+00:00" }, { 1735689599999, "2024-12-31T23:59:59+00:00" },
        { 253402300799999, "9999-12-31T23:59:59+00:00" }, { INT64_MAX, "9999-12-31T23:59:59+00:00" }
    };
    char text[SBXI_TIME_MAX];
    int64_t at, ms;
    size_t k;
    for (k = 0; k < SBXI_LEN(rows); k++) {
        CHECK_INT(sbxi_print_time(text, rows[k].ms), strlen(rows[k].text));
        CHECK_STR(text, rows[k].text);
    }
    for (at = 0; at < 253402300799999; at += 86399999 * INT64_C(307)) {
        sbxi_print_time(text, at);
        REQUIRE(sbxi_parse_time(text, &ms));
        CHECK(ms <= at && at - ms < 1000);
    }
}

TEST(time_http_date)
{
    static const char good[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    static const char *const bad[] = { "", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 06 Nop 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:3x GMT", "Sun, 06-Nov-1994 08:49:37 GMT" };
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t ms, iso;
    size_t k;
    CHECK(sbxi_parse_http_date(good, &ms));
    CHECK_INT(ms, 784111777000);
    for (k = 0; k < 12; k++) {
        char text[40];
        snprintf(text, sizeof text, "Xxx, 07 %.3s 2023 01:02:03 GMT", months + 3 * k);
        REQUIRE(sbxi_parse_http_date(text, &ms));
        snprintf(text, sizeof text, "2023-%02d-07T01:02:03Z", (int)k + 1);
        REQUIRE(sbxi_parse_time(text, &iso));
        CHECK_INT(ms, iso);
    }
    for (k = 0; k < SBXI_LEN(bad); k++) {
        test_row = bad[k];
        CHECK(!sbxi_parse_http_date(bad[k], &ms));
    }
    test_row = NULL;
}
