/* base/: numbers, texts, buffers, and the allocator over one fixed buffer. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

TEST(base_print_and_parse_numbers)
{
    uint64_t v = 0, back;
    unsigned k;
    for (k = 0; k < 3000; k++) {
        char got[SBXI_DECIMAL_MAX], want[32];
        size_t n = sbxi_print_u64(got, v);
        sbxi_span s = { got, n };
        snprintf(want, sizeof want, "%llu", (unsigned long long)v);
        CHECK_MEM(got, n, want, strlen(want));
        CHECK(sbxi_parse_u64(s, UINT64_MAX, &back) && back == v);
        CHECK(v == UINT64_MAX || sbxi_parse_u64(s, v, &back));
        CHECK(v == 0 || !sbxi_parse_u64(s, v - 1, &back));
        v = k < 20 ? (uint64_t)k : k == 20 ? UINT64_MAX : k < 41 ? v / 10 :
            (uint64_t)test_random() << (test_random() % 50) ^ test_random();
    }
}

TEST(base_parse_refuses)
{
    static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1.0", "0x1", "18446744073709551616",
        "99999999999999999999", "100000000000000000000", "000000000000000000001", "a" };
    size_t k;
    for (k = 0; k < SBXI_LEN(bad); k++) {
        uint64_t v = 42;
        test_row = bad[k];
        CHECK(!sbxi_parse_u64(sbxi_span_of(bad[k]), UINT64_MAX, &v) && v == 42);
    }
    test_row = NULL;
}

TEST(base_spans_and_characters)
{
    unsigned c;
    for (c = 0; c < 256; c++) {
        const char *hex = "0123456789abcdefABCDEF", *at = c ? strchr(hex, (int)c) : NULL;
        int want = at ? (int)(at - hex) - (at - hex > 15 ? 6 : 0) : -1;
        CHECK_INT(sbxi_hex_value((char)c), want);
        CHECK(sbxi_lower((char)c) == (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
        CHECK(sbxi_is_alnum((char)c) == ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
            || (c >= 'A' && c <= 'Z')));
    }
    CHECK(sbxi_span_is(sbxi_span_of("abc"), "abc"));
    CHECK(!sbxi_span_is(sbxi_span_of("abc"), "abcd") && !sbxi_span_is(sbxi_span_of("abc"), "ab"));
    CHECK(sbxi_span_is_nocase(sbxi_span_of("Content-LENGTH"), "content-length"));
    CHECK(!sbxi_span_is_nocase(sbxi_span_of("a"), "b") && !sbxi_span_is_nocase(sbxi_span_of("a"), "ab"));
    CHECK_STR(sbxi_find(sbxi_span_of("hello"), "lo"), "lo");
    CHECK(!sbxi_find(sbxi_span_of("hel"), "hello") && !sbxi_find(sbxi_span_of("hello"), "x"));
    CHECK_INT(sbxi_span_of(NULL).len, 0);
}

TEST(base_size_add)
{
    size_t n = 7;
    CHECK(sbxi_size_add(&n, SIZE_MAX, 0) && n == SIZE_MAX);
    CHECK(sbxi_size_add(&n, 3, 4) && n == 7);
    CHECK(!sbxi_size_add(&n, SIZE_MAX, 1) && n == 7);
}

TEST(base_put_text)
{
    char out[8];
    sbxi_put_text(out, sizeof out, "a\nb\x7f", 4);
    CHECK_STR(out, "a b ");
    sbxi_put_text(out, sizeof out, "123456\xc3\xa9", 8);
    CHECK_STR(out, "123456");
    sbxi_put_text(out, sizeof out, "12345\xc3\xa9", 7);
    CHECK_STR(out, "12345\xc3\xa9");
    sbxi_put_text(out, sizeof out, "123456789", 9);
    CHECK_STR(out, "1234567");
    sbxi_put_text(out, 1, "x", 1);
    CHECK_STR(out, "");
    sbxi_put_text(out, sizeof out, "ab", 2);
    sbxi_add_text(out, sizeof out, "cd");
    CHECK_STR(out, "abcd");
    sbxi_add_text(out, sizeof out, "efghij");
    CHECK_STR(out, "abcdefg");
    sbxi_add_text(out, sizeof out, "x");
    CHECK_STR(out, "abcdefg");
}

TEST(base_statuses_have_names_and_texts)
{
    int s;
    CHECK_STR(sbx_status_name(SBX_OK), "SBX_OK");
    CHECK_STR(sbx_status_name(SBX_E_TIMEOUT), "SBX_E_TIMEOUT");
    CHECK_STR(sbx_status_name(-999), "SBX_E_?");
    CHECK_STR(sbx_strerror(SBX_E_CANCELLED), "cancelled");
    for (s = -60; s < 5; s++) CHECK(sbx_strerror(s) && *sbx_strerror(s) && sbx_status_name(s));
    CHECK_STR(sbx_version(), SBX_VERSION);
}

TEST(base_error_keeps_its_first_message)
{
    sbx_error e;
    sbxi_error_clear(&e);
    CHECK_INT(e.retry_after_ms, -1);
    CHECK_INT(sbxi_error_set(&e, SBX_E_AUTH, NULL), SBX_E_AUTH);
    CHECK_STR(e.message, sbx_strerror(SBX_E_AUTH));
    sbxi_error_set(&e, SBX_E_NOMEM, "other");
    CHECK_INT(e.status, SBX_E_NOMEM);
    CHECK_STR(e.message, sbx_strerror(SBX_E_AUTH));
}

/* ---- fixed allocator ------------------------------------------------------ */

TEST(fixed_random_blocks_never_meet)
{
    static unsigned char memory[8192 + 64];
    struct { unsigned char *p; size_t n; unsigned char fill; } b[24];
    unsigned round, skew, fails = 0;
    for (skew = 0; skew < 17; skew += 5) {
        sbx_fixed f;
        sbx_alloc a = sbx_alloc_fixed(&f, memory + skew, 8192);
        size_t i;
        memset(b, 0, sizeof b);
        for (round = 0; round < 20000; round++) {
            size_t k = test_random() % SBXI_LEN(b), n = test_random() % 4 ? test_random() % 900 : 0;
            unsigned char *p = (unsigned char *)a.resize(a.ctx, b[k].p, b[k].n, n);
            if (!p && n) {
                fails++; /* the old block must be as it was */
            } else {
                size_t keep = n < b[k].n ? n : b[k].n;
                for (i = 0; i < keep && b[k].p; i++)
                    if (p[i] != b[k].fill) break;
                if (b[k].p) REQUIRE(i == keep);
                REQUIRE(n || !p);
                REQUIRE((uintptr_t)p % sizeof(void *) == 0);
                REQUIRE(!p || (p >= memory + skew && p + n <= memory + skew + 8192));
                b[k].p = p;
                b[k].n = n;
                b[k].fill = (unsigned char)test_random();
                if (p) memset(p, b[k].fill, n);
            }
            for (i = 0; i < SBXI_LEN(b); i++) /* ends of all blocks untouched */
                if (b[i].n) REQUIRE(b[i].p[0] == b[i].fill && b[i].p[b[i].n - 1] == b[i].fill);
            REQUIRE(f.used <= f.peak && f.peak <= 8192);
        }
        for (i = 0; i < SBXI_LEN(b); i++) a.resize(a.ctx, b[i].p, b[i].n, 0);
        CHECK_INT(f.used, 0);
        CHECK(a.resize(a.ctx, NULL, 0, 8000) != NULL); /* all merged again */
    }
    CHECK(fails > 100);
}

TEST(fixed_peak_would_have_sufficed)
{
    static unsigned char memory[4096];
    sbx_fixed f;
    sbx_alloc a = sbx_alloc_fixed(&f, memory, sizeof memory);
    size_t peak;
    void *x = a.resize(a.ctx, NULL, 0, 100), *y = a.resize(a.ctx, NULL, 0, 333);
    CHECK(x && y);
    a.resize(a.ctx, x, 100, 0);
    a.resize(a.ctx, y, 333, 0);
    peak = f.peak;
    a = sbx_alloc_fixed(&f, memory, peak + (size_t)((uintptr_t)memory % sizeof(sbxi_cell) ?
        sizeof(sbxi_cell) : 0));
    CHECK(a.resize(a.ctx, NULL, 0, 100) != NULL && a.resize(a.ctx, NULL, 0, 333) != NULL);
    CHECK(a.resize(a.ctx, NULL, 0, 333) == NULL);
}

TEST(fixed_too_small_or_absurd)
{
    static unsigned char memory[256];
    size_t n;
    for (n = 0; n < 100; n++) {
        sbx_fixed f;
        sbx_alloc a = sbx_alloc_fixed(&f, memory + 1, n);
        void *p = a.resize(a.ctx, NULL, 0, 16);
        CHECK(!p || ((unsigned char *)p > memory && (unsigned char *)p + 16 <= memory + 1 + n));
        CHECK(a.resize(a.ctx, NULL, 0, SIZE_MAX) == NULL);
        CHECK(a.resize(a.ctx, NULL, 0, SIZE_MAX - 8) == NULL);
        CHECK(a.resize(a.ctx, NULL, 0, 0) == NULL);
    }
}

TEST(fixed_grows_in_place)
{
    static unsigned char memory[2048];
    sbx_fixed f;
    sbx_alloc a = sbx_alloc_fixed(&f, memory, sizeof memory);
    void *p = a.resize(a.ctx, NULL, 0, 64), *q;
    CHECK(a.resize(a.ctx, p, 64, 1500) == p); /* only so can it fit */
    CHECK(a.resize(a.ctx, p, 1500, 64) == p);
    q = a.resize(a.ctx, NULL, 0, 1200);
    CHECK(q != NULL);
    CHECK(a.resize(a.ctx, p, 64, 1500) == NULL);
}

TEST(free_knows_its_allocator_and_wipes)
{
    static unsigned char memory[1024];
    static const char secret[] = "secret-token";
    sbx_fixed f;
    sbx_alloc a = sbx_alloc_fixed(&f, memory, sizeof memory);
    size_t size = sizeof(sbxi_owned) + 64, i;
    sbxi_owned *o = (sbxi_owned *)sbxi_alloc_get(&a, size);
    REQUIRE(o != NULL);
    o->of.alloc = a;
    o->of.size = size;
    memcpy(o + 1, secret, sizeof secret);
    sbx_free(o + 1);
    sbx_free(NULL);
    CHECK_INT(f.used, 0);
    for (i = 0; i + sizeof secret <= sizeof memory; i++)
        if (memcmp(memory + i, secret, sizeof secret) == 0) break;
    CHECK(i + sizeof secret > sizeof memory);
}

/* ---- buffers -------------------------------------------------------------- */

TEST(buf_grows_to_its_limit_and_remembers)
{
    static unsigned char memory[8192];
    static char want[1000];
    sbx_fixed f;
    sbx_alloc a = sbx_alloc_fixed(&f, memory, sizeof memory);
    size_t max, i;
    for (max = 0; max < sizeof want; max += 37) {
        sbxi_buf b;
        sbxi_buf_init(&b, &a, max);
        for (i = 0; i < max; i++) {
            char c = want[i] = (char)test_random();
            CHECK_INT(sbxi_buf_add(&b, &c, 1), SBX_OK);
            CHECK(b.cap <= max);
        }
        CHECK_MEM(b.data, b.len, want, max);
        CHECK_INT(sbxi_buf_add(&b, "x", 1), SBX_E_TOO_LARGE);
        CHECK_INT(b.len, max);
        CHECK_INT(sbxi_buf_add(&b, "", 0), SBX_E_TOO_LARGE); /* sticky */
        sbxi_buf_clear(&b);
        CHECK_INT(b.status, SBX_OK);
        CHECK_INT(sbxi_buf_reserve(&b, SIZE_MAX), SBX_E_TOO_LARGE);
        sbxi_buf_clear(&b);
        b.len = SBXI_MIN(max, 1); /* so that the sum overflows */
        CHECK_INT(sbxi_buf_reserve(&b, SIZE_MAX), SBX_E_TOO_LARGE);
        sbxi_buf_free(&b);
        CHECK_INT(f.used, 0);
    }
}

TEST(buf_room_is_aligned_and_zero)
{
    static unsigned char memory[4096];
    sbx_fixed f;
    sbx_alloc a = sbx_alloc_fixed(&f, memory, sizeof memory);
    sbxi_buf b;
    size_t at = 0, before, i;
    sbxi_buf_init(&b, &a, 2000);
    for (before = 0; before <= 9; before++) {
        for (i = 0; i < before; i++) sbxi_buf_text(&b, "x");
        CHECK_INT(sbxi_buf_room(&b, 10, &at), SBX_OK);
        CHECK_INT(at % sizeof(int64_t), 0);
        CHECK_INT(b.len, at + 10);
        for (i = at; i < b.len; i++) CHECK_INT(b.data[i], 0);
    }
    CHECK_INT(sbxi_buf_room(&b, SIZE_MAX, &at), SBX_E_TOO_LARGE);
    sbxi_buf_clear(&b);
    sbxi_buf_u64(&b, 1234567890123u);
    CHECK_MEM(b.data, b.len, "1234567890123", 13);
    sbxi_buf_free(&b);
}

TEST(buf_trims_to_what_it_holds)
{
    static unsigned char memory[1024];
    sbx_fixed f;
    sbx_alloc a = sbx_alloc_fixed(&f, memory, sizeof memory);
    sbxi_buf b;
    sbxi_buf_init(&b, &a, 500);
    sbxi_buf_trim(&b); /* nothing to give back, and nothing to lose */
    CHECK_INT(f.used, 0);
    CHECK_INT(sbxi_buf_reserve(&b, 400), SBX_OK);
    sbxi_buf_trim(&b);
    CHECK(b.cap >= 400 && b.data);
    sbxi_buf_text(&b, "kept");
    sbxi_buf_trim(&b);
    CHECK_INT(b.cap, 4);
    CHECK_MEM(b.data, b.len, "kept", 4);
    sbxi_buf_free(&b);
    CHECK_INT(f.used, 0);
}

TEST(buf_without_memory)
{
    static unsigned char memory[400];
    sbx_fixed f;
    sbx_alloc a = sbx_alloc_fixed(&f, memory, sizeof memory);
    sbxi_buf b;
    size_t n = 0;
    sbxi_buf_init(&b, &a, 100000);
    while (sbxi_buf_add(&b, "12345678", 8) == SBX_OK) n += 8;
    CHECK_INT(b.status, SBX_E_NOMEM);
    CHECK_INT(b.len, n);
    CHECK(n >= 300); /* a tight heap is used up before it fails */
    sbxi_buf_free(&b);
    CHECK_INT(f.used, 0);
}
