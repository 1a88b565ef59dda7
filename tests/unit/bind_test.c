/* Field tables, both directions: every type, every wrong kind, any split of the
   text, and what happens when memory or a limit runs out. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

typedef struct inner { const char *word; int32_t deep; sbx_choice flag; } inner;

typedef struct all {
    const char *name;
    char text[8];
    int32_t i;
    uint32_t u;
    int64_t l, when;
    bool yes, seen, seen_obj;
    sbx_choice choice;
    sbx_file_type kind;
    sbx_pairs map;
    sbx_strings list;
    inner in;
    int32_t code;
    char code_word[16];
} all;

static const char *const kinds[] = { "file", "dir", "link", NULL };
static const sbxi_field inner_fields[] = {
    { "word", NULL, offsetof(inner, word), 0, SBXI_T_STRING },
    { "deep", NULL, offsetof(inner, deep), 0, SBXI_T_INT },
    { "flag", NULL, offsetof(inner, flag), 0, SBXI_T_CHOICE }
};
static const sbxi_shape inner_shape = SBXI_SHAPE(inner_fields, inner);
static const sbxi_field all_fields[] = {
    { "name", NULL, offsetof(all, name), 0, SBXI_T_STRING },
    { "text", NULL, offsetof(all, text), 8, SBXI_T_TEXT },
    { "i", NULL, offsetof(all, i), 0, SBXI_T_INT },
    { "u", NULL, offsetof(all, u), 0, SBXI_T_UINT },
    { "l", NULL, offsetof(all, l), 0, SBXI_T_INT64 },
    { "when", NULL, offsetof(all, when), 0, SBXI_T_TIME },
    { "yes", NULL, offsetof(all, yes), 0, SBXI_T_BOOL },
    { "seen", NULL, offsetof(all, seen), 0, SBXI_T_SEEN },
    { "choice", NULL, offsetof(all, choice), 0, SBXI_T_CHOICE },
    { "kind", kinds, offsetof(all, kind), 0, SBXI_T_ENUM },
    { "map", NULL, offsetof(all, map), 0, SBXI_T_PAIRS },
    { "list", NULL, offsetof(all, list), 0, SBXI_T_STRINGS },
    { "in", NULL, offsetof(all, seen_obj), 0, SBXI_T_SEEN },
    { "in", &inner_shape, offsetof(all, in), 0, SBXI_T_OBJECT },
    { "code", NULL, offsetof(all, code), 0, SBXI_T_INT },
    { "code", NULL, offsetof(all, code_word), 16, SBXI_T_TEXT }
};
static const sbxi_shape all_shape = SBXI_SHAPE(all_fields, all);

static char heap_memory[65536];
static sbx_fixed heap_state;
static sbx_alloc heap;
static sbxi_buf block;

/* Feeds a copy of exact size at a time, so that a read beyond it is seen. */
static int feed(sbxi_bind *b, const char *json, size_t step)
{
    sbx_json_reader r;
    size_t n = strlen(json), i, k;
    int rc = SBX_OK;
    sbx_json_init(&r, sbxi_bind_event, b);
    for (i = 0; i < n && rc >= 0; i += k) {
        size_t want = n - i < step ? n - i : step;
        char *piece = (char *)malloc(want);
        if (!piece) abort();
        memcpy(piece, json + i, want);
        rc = sbx_json_feed(&r, piece, want, &k);
        free(piece);
    }
    if (rc >= 0) rc = sbx_json_end(&r);
    return rc;
}

/* Reads into the block behind `skip` bytes; NULL and *rc when refused. */
static void *read_into(const sbxi_shape *shape, const char *json, size_t step, size_t max,
    int *rc)
{
    static sbxi_bind b;
    size_t at;
    heap = sbx_alloc_fixed(&heap_state, heap_memory, sizeof heap_memory);
    sbxi_buf_init(&block, &heap, max);
    if (sbxi_buf_room(&block, sizeof(sbxi_owned), &at) != SBX_OK) abort();
    sbxi_bind_init(&b, shape, &block, NULL);
    *rc = feed(&b, json, step);
    return *rc == SBX_OK ? sbxi_bind_result(&b) : NULL;
}

static const all *read_all(const char *json, size_t step)
{
    static const all none;
    int rc;
    const all *a = (const all *)read_into(&all_shape, json, step, 60000, &rc);
    CHECK_INT(rc, SBX_OK);
    return a ? a : &none;
}

TEST(bind_every_type_at_every_split)
{
    static const char json[] = "{\"unknown\":[1,{\"name\":\"no\"},[]],\"name\":\"box \\u00e9 \xe4\xb8\xad\","
        "\"text\":\"abc\",\"i\":-5,\"u\":4294967295,\"l\":\"9007199254740993\","
        "\"when\":\"2024-01-02T03:04:05.678Z\",\"yes\":true,\"seen\":{\"a\":[{}]},\"choice\":false,"
        "\"kind\":\"dir\",\"map\":{\"a\":\"1\",\"b\":2,\"c\":{\"x\":1},\"d\":true,\"e\":null,\"f\":[1],\"\":\"\"},"
        "\"list\":[\"x\",\"\",[],\"z\\n\"],\"in\":{\"word\":\"w\",\"more\":{},\"deep\":7,\"flag\":true},"
        "\"code\":\"not_found\"}";
    size_t step;
    for (step = 1; step <= sizeof json; step++) {
        const all *a = read_all(json, step);
        CHECK_STR(a->name, "box \xc3\xa9 \xe4\xb8\xad");
        CHECK_STR(a->text, "abc");
        CHECK_INT(a->i, -5);
        CHECK_INT(a->u, 4294967295u);
        CHECK_INT(a->l, 9007199254740993);
        CHECK_INT(a->when, 1704164645678);
        CHECK(a->yes && a->seen && a->seen_obj);
        CHECK_INT(a->choice, SBX_NO);
        CHECK_INT(a->kind, SBX_FILE_DIR);
        REQUIRE(a->map.count == 5 && a->list.count == 3);
        CHECK_STR(a->map.items[0].key, "a");
        CHECK_STR(a->map.items[0].value, "1");
        CHECK_STR(a->map.items[1].value, "2");
        CHECK_STR(a->map.items[2].key, "d");
        CHECK_STR(a->map.items[2].value, "true");
        CHECK_STR(a->map.items[3].value, "");
        CHECK_STR(a->map.items[4].key, "");
        CHECK_STR(a->list.items[0], "x");
        CHECK_STR(a->list.items[1], "");
        CHECK_STR(a->list.items[2], "z\n");
        CHECK_STR(a->in.word, "w");
        CHECK_INT(a->in.deep, 7);
        CHECK_INT(a->in.flag, SBX_YES);
        CHECK_INT(a->code, 0);
        CHECK_STR(a->code_word, "not_found");
    }
}

TEST(bind_empty_object_leaves_all_zero)
{
    static const all zero;
    const all *a = read_all("{}", 99);
    CHECK(memcmp(a, &zero, sizeof zero) == 0);
}

TEST(bind_wrong_kinds_are_skipped)
{
    static const char *const values[] = { "null", "\"text\"", "{\"a\":{\"b\":[]}}", "[[{}]]",
        "true", "1.5", "1e999", "-0.0001" };
    size_t v, f;
    for (v = 0; v < SBXI_LEN(values); v++)
        for (f = 0; f < SBXI_LEN(all_fields); f++) {
            char json[200];
            const all *a;
            test_row = values[v];
            snprintf(json, sizeof json, "{\"%s\":%s,\"i\":77}", all_fields[f].name, values[v]);
            a = read_all(json, 3);
            CHECK_INT(a->i, 77);
            CHECK_INT(a->u, 0);
            CHECK_INT(a->l, 0);
            CHECK_INT(a->when, 0);
            CHECK_INT(a->kind, 0);
            CHECK_INT(a->in.deep, 0);
            CHECK(!a->name || strcmp(a->name, "text") == 0);
        }
    test_row = NULL;
}

TEST(bind_words_in_lists_and_cut_entries)
{
    static const char long_number[] = "{\"list\":[1,"
        "12345678901234567890123456789012345678901234567890123456789012345678901234567890,2]}";
    size_t step;
    for (step = 1; step <= sizeof long_number; step++) {
        const all *a = read_all("{\"list\":[true,false,null,1.5],\"yes\":true,\"yes\":false}", step);
        CHECK(!a->yes);
        REQUIRE(a->list.count == 4);
        CHECK_STR(a->list.items[0], "true");
        CHECK_STR(a->list.items[1], "false");
        CHECK_STR(a->list.items[2], "");
        CHECK_STR(a->list.items[3], "1.5");
        a = read_all(long_number, step); /* better gone than wrong */
        REQUIRE(a->list.count == 2);
        CHECK_STR(a->list.items[0], "1");
        CHECK_STR(a->list.items[1], "2");
    }
}

TEST(bind_null_and_seen)
{
    const all *a = read_all("{\"seen\":null,\"in\":null,\"choice\":null,\"name\":null}", 5);
    CHECK(!a->seen && !a->seen_obj && !a->name);
    a = read_all("{\"choice\":true,\"choice\":null,\"seen\":0,\"in\":{}}", 5);
    CHECK_INT(a->choice, SBX_DEFAULT);
    CHECK(a->seen && a->seen_obj);
}

TEST(bind_numbers_clamp_and_never_round)
{
    static const struct { const char *json; int64_t i, u, l; } rows[] = {
        { "0", 0, 0, 0 }, { "-0", 0, 0, 0 }, { "-1", -1, 0, -1 },
        { "2147483647", 2147483647, 2147483647, 2147483647 },
        { "2147483648", 2147483647, 2147483648, 2147483648 },
        { "-2147483648", INT32_MIN, 0, INT32_MIN },
        { "-2147483649", INT32_MIN, 0, -2147483649 },
        { "4294967295", INT32_MAX, UINT32_MAX, 4294967295 },
        { "4294967296", INT32_MAX, UINT32_MAX, 4294967296 },
        { "9223372036854775807", INT32_MAX, UINT32_MAX, INT64_MAX },
        { "9223372036854775808", INT32_MAX, UINT32_MAX, INT64_MAX },
        { "-9223372036854775808", INT32_MIN, 0, INT64_MIN },
        { "-9223372036854775809", INT32_MIN, 0, INT64_MIN },
        { "18446744073709551615", INT32_MAX, UINT32_MAX, INT64_MAX },
        { "18446744073709551616", -1, 1, -1 }, { "99999999999999999999", -1, 1, -1 },
        { "-99999999999999999999999999", -1, 1, -1 },
        { "1.0", -1, 1, -1 }, { "0.5", -1, 1, -1 }, { "-0.0019", -1, 1, -1 },
        { "1e3", -1, 1, -1 }, { "1.5e-05", -1, 1, -1 }, { "1E+22", -1, 1, -1 }
    };
    size_t k, quoted;
    for (k = 0; k < SBXI_LEN(rows); k++)
        for (quoted = 0; quoted < 2; quoted++) {
            char json[400];
            const char *q = quoted ? "\"" : "";
            const all *a;
            test_row = rows[k].json;
            snprintf(json, sizeof json, "{\"i\":-1,\"u\":1,\"l\":-1,\"i\":%s%s%s,\"u\":%s%s%s,"
                "\"l\":%s%s%s}", q, rows[k].json, q, q, rows[k].json, q, q, rows[k].json, q);
            a = read_all(json, 7);
            CHECK_INT(a->i, rows[k].i);
            CHECK_INT(a->u, rows[k].u);
            CHECK_INT(a->l, rows[k].l);
        }
    test_row = NULL;
}

TEST(bind_thousandths_of_a_number)
{
    static const struct { const char *json; int32_t want; } rows[] = { { "0", 0 }, { "7", 7000 },
        { "1.5", 1500 }, { "12.3456", 12345 }, { "0.0004", 0 }, { "100.25", 100250 },
        { "2147479.9", 2147479000 }, { "3000000", 2147483000 }, { "99999999999999", 2147483000 },
        { "99999999999999.9", 2147483000 }, { "-1", -1 }, { "1e3", -1 }, { "true", -1 } };
    static const sbxi_field fields[] = { { "m", NULL, offsetof(all, i), 0, SBXI_T_MILLI } };
    static const sbxi_shape shape = SBXI_SHAPE(fields, all);
    size_t k, step;
    for (k = 0; k < SBXI_LEN(rows); k++)
        for (step = 1; step < 30; step += 7) {
            static sbxi_bind b;
            char json[64];
            all a;
            memset(&a, 0, sizeof a);
            a.i = -1;
            test_row = rows[k].json;
            snprintf(json, sizeof json, "{\"m\":%s}", rows[k].json);
            sbxi_bind_init(&b, &shape, NULL, &a);
            CHECK_INT(feed(&b, json, step), SBX_OK);
            CHECK_INT(a.i, rows[k].want);
        }
    test_row = NULL;
}

TEST(bind_texts_that_are_no_numbers)
{
    static const char *const texts[] = { "", " 1", "1 ", "+1", "-", "0x1", "1-", "--1", "abc",
        "1234567890123456789012345678901234567890123" };
    size_t k;
    for (k = 0; k < SBXI_LEN(texts); k++) {
        char json[200];
        const all *a;
        test_row = texts[k];
        snprintf(json, sizeof json, "{\"i\":5,\"i\":\"%s\",\"l\":6,\"l\":\"%s\"}", texts[k], texts[k]);
        a = read_all(json, 2);
        CHECK_INT(a->i, 5);
        CHECK_INT(a->l, 6);
    }
    test_row = NULL;
}

TEST(bind_text_is_cut_at_a_character)
{
    static const struct { const char *json, *want; } rows[] = {
        { "1234567", "1234567" }, { "12345678", "1234567" }, { "123456\xc3\xa9z", "123456" },
        { "12345\xc3\xa9z", "12345\xc3\xa9" }, { "1234\xf0\x9f\x98\x80", "1234" },
        { "a\\nb\\u0000c", "a b c" }, { "", "" }
    };
    size_t k, step;
    for (k = 0; k < SBXI_LEN(rows); k++)
        for (step = 1; step < 30; step++) {
            char json[100];
            test_row = rows[k].want;
            snprintf(json, sizeof json, "{\"text\":\"%s\"}", rows[k].json);
            CHECK_STR(read_all(json, step)->text, rows[k].want);
        }
    test_row = NULL;
}

TEST(bind_last_of_equal_keys_wins)
{
    const all *a = read_all("{\"name\":\"a\",\"name\":\"b\",\"map\":{\"x\":\"1\",\"y\":\"2\"},"
        "\"map\":{\"z\":\"3\"},\"list\":[\"q\"],\"list\":[],\"kind\":\"dir\",\"kind\":\"odd\"}", 4);
    CHECK_STR(a->name, "b");
    CHECK_INT(a->map.count, 1);
    CHECK_STR(a->map.items[0].key, "z");
    CHECK(a->list.items != NULL);
    CHECK_INT(a->list.count, 0);
    CHECK_INT(a->kind, 0);
}

TEST(bind_nul_becomes_a_replacement_character)
{
    const all *a = read_all("{\"name\":\"a\\u0000b\",\"map\":{\"k\\u0000\":\"\\u0000\"}}", 1);
    CHECK_STR(a->name, "a\xEF\xBF\xBD" "b");
    CHECK_STR(a->map.items[0].key, "k\xEF\xBF\xBD");
    CHECK_STR(a->map.items[0].value, "\xEF\xBF\xBD");
}

TEST(bind_long_keys_are_skipped_whole)
{
    char json[400], key[101];
    const all *a;
    memset(key, 'k', 100);
    key[100] = 0;
    snprintf(json, sizeof json, "{\"%s\":{\"i\":1},\"map\":{\"%s\":\"v\",\"b\":\"2\"},\"i\":3}", key, key);
    a = read_all(json, 9);
    CHECK_INT(a->i, 3);
    REQUIRE(a->map.count == 1);
    CHECK_STR(a->map.items[0].key, "b");
}

/* U+0000 inside a key must not end the comparison: the reader's text has a length. */
TEST(bind_key_with_nul_is_no_name)
{
    size_t step;
    for (step = 1; step < 60; step++) {
        const all *a = read_all("{\"i\\u0000\":7,\"u\\u0000xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\":7,\"\":7}", step);
        CHECK_INT(a->i, 0);
        CHECK_INT(a->u, 0);
    }
}

TEST(bind_key_is_no_prefix)
{
    const all *a = read_all("{\"nam\":\"x\",\"names\":\"y\",\"\":\"z\",\"in\":{\"wor\":\"q\"}}", 9);
    CHECK(!a->name && !a->in.word);
}

TEST(bind_enums_by_number)
{
    static const struct { const char *json; int want; } rows[] = { { "{\"kind\":1}", 1 },
        { "{\"kind\":3}", 3 }, { "{\"kind\":4}", 0 }, { "{\"kind\":0}", 0 }, { "{\"kind\":-1}", 0 },
        { "{\"kind\":12}", 0 }, { "{\"kind\":2.0}", 0 }, { "{\"kind\":\"\"}", 0 } };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) CHECK_INT(read_all(rows[i].json, 1)->kind, rows[i].want);
}

TEST(bind_root_of_the_wrong_kind)
{
    static const char *const roots[] = { "[]", "1", "\"x\"", "null", "[{}]" };
    size_t k;
    int rc;
    for (k = 0; k < SBXI_LEN(roots); k++) {
        CHECK(read_into(&all_shape, roots[k], 99, 60000, &rc) == NULL);
        CHECK_INT(rc, SBX_E_PROTOCOL);
    }
}

TEST(bind_block_limit)
{
    char json[3000];
    int rc;
    size_t max;
    memset(json, 'x', sizeof json);
    memcpy(json, "{\"name\":\"", 9);
    memcpy(json + 2990, "\"}", 3);
    CHECK(read_into(&all_shape, json, 100, 2000, &rc) == NULL);
    CHECK_INT(rc, SBX_E_TOO_LARGE);
    CHECK(read_into(&all_shape, json, 100, 4000, &rc) != NULL);
    /* Any limit: refused, or right; never beyond. */
    for (max = sizeof(sbxi_owned); max < 900; max += 7) {
        const all *a = (const all *)read_into(&all_shape, "{\"map\":{\"a\":\"1\",\"b\":\"2\"},"
            "\"list\":[\"x\",\"y\",\"z\"]}", 5, max, &rc);
        if (!a) CHECK_INT(rc, SBX_E_TOO_LARGE);
        else CHECK_STR(a->list.items[2], "z");
        CHECK(block.cap <= max);
    }
}

TEST(bind_into_fixed_memory)
{
    static sbxi_bind b;
    all a;
    memset(&a, 0, sizeof a);
    sbxi_bind_init(&b, &all_shape, NULL, &a);
    CHECK_INT(feed(&b, "{\"name\":\"no\",\"map\":{\"a\":\"b\"},\"list\":[\"c\"],\"text\":\"yes\","
        "\"in\":{\"deep\":4,\"word\":\"no\"},\"code\":404,\"kind\":\"file\"}", 3), SBX_OK);
    CHECK(!a.name && !a.map.items && !a.list.items && !a.in.word);
    CHECK_STR(a.text, "yes");
    CHECK_INT(a.in.deep, 4);
    CHECK_INT(a.code, 404);
    CHECK_STR(a.code_word, "");
    CHECK_INT(a.kind, SBX_FILE_REGULAR);
}

/* ---- items ---------------------------------------------------------------- */

static char items_log[2000];
static int items_rc;
static size_t items_high;

static int on_item(void *ctx, void *item)
{
    const all *a = (const all *)item;
    size_t n = strlen(items_log);
    CHECK(ctx == items_log);
    CHECK((uintptr_t)item % sizeof(void *) == 0);
    snprintf(items_log + n, sizeof items_log - n, "%s/%d/%u/%s;", a->name ? a->name : "-", (int)a->i,
        (unsigned)a->map.count, a->map.count ? a->map.items[0].value : "");
    if (block.len > items_high) items_high = block.len;
    return items_rc;
}

static int read_items(const sbxi_shape *shape, bool root, const char *json, size_t step)
{
    static sbxi_bind b;
    int rc;
    heap = sbx_alloc_fixed(&heap_state, heap_memory, sizeof heap_memory);
    sbxi_buf_init(&block, &heap, 8000);
    items_log[0] = 0;
    items_high = 0;
    if (root) sbxi_bind_each(&b, shape, &block);
    else sbxi_bind_init(&b, shape, &block, NULL);
    b.item = on_item;
    b.ctx = items_log;
    rc = feed(&b, json, step);
    if (rc == SBX_OK && !root) sbxi_bind_result(&b);
    return rc;
}

TEST(bind_each_item_of_a_root_array)
{
    static const char json[] = "[{\"name\":\"a\",\"map\":{\"k\":\"v\"}},{},7,[{\"name\":\"x\"}],null,\"s\","
        "{\"i\":3,\"in\":{\"deep\":1}}]";
    size_t step;
    items_rc = SBX_OK;
    for (step = 1; step < 60; step++) {
        CHECK_INT(read_items(&all_shape, true, json, step), SBX_OK);
        CHECK_STR(items_log, "a/0/1/v;-/0/0/;-/3/0/;");
    }
    CHECK_INT(block.len, 0); /* the place of an item is used again */
    CHECK_INT(read_items(&all_shape, true, "{}", 9), SBX_E_PROTOCOL);
    CHECK_INT(read_items(&all_shape, true, "[]", 9), SBX_OK);
    items_rc = SBX_E_SINK;
    CHECK_INT(read_items(&all_shape, true, json, 9), SBX_E_SINK);
    CHECK_STR(items_log, "a/0/1/v;");
    items_rc = SBX_PENDING;
    CHECK_INT(read_items(&all_shape, true, json, 9), SBX_OK);
    CHECK_STR(items_log, "a/0/1/v;-/0/0/;-/3/0/;");
    items_rc = SBX_OK;
}

typedef struct page { const char *next; const char *after; } page;
static const sbxi_field page_fields[] = {
    { "next", NULL, offsetof(page, next), 0, SBXI_T_STRING },
    { "items", &all_shape, 0, 0, SBXI_T_EACH },
    { "after", NULL, offsetof(page, after), 0, SBXI_T_STRING }
};
static const sbxi_shape page_shape = SBXI_SHAPE(page_fields, page);

TEST(bind_each_item_inside_an_object)
{
    CHECK_INT(read_items(&page_shape, false, "{\"next\":\"t\",\"items\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
        "\"items\":{},\"after\":\"u\"}", 5), SBX_OK);
    CHECK_STR(items_log, "a/0/0/;b/0/0/;");
    CHECK_STR(((const page *)(const void *)block.data)->next, "t");
    CHECK_STR(((const page *)(const void *)block.data)->after, "u");
}

/* ---- pieces --------------------------------------------------------------- */

static char pieces[200];
static unsigned pieces_ids, pieces_ends;
static int pieces_rc;

static int on_piece(void *ctx, unsigned id, const char *text, size_t len, bool more)
{
    (void)ctx;
    pieces_ids |= 1u << id;
    pieces_ends += !more;
    strncat(pieces, text, len);
    return pieces_rc;
}

static const sbxi_field data_fields[] = {
    { "stdout", NULL, 0, 1, SBXI_T_BYTES }, { "stderr", NULL, 0, 2, SBXI_T_BYTES }
};
static const sbxi_shape data_shape = SBXI_SHAPE(data_fields, all);
static const sbxi_field event_fields[] = {
    { "data", &data_shape, 0, 0, SBXI_T_OBJECT },
    { "i", NULL, offsetof(all, i), 0, SBXI_T_INT }
};
static const sbxi_shape event_shape = SBXI_SHAPE(event_fields, all);

TEST(bind_bytes_are_streamed_and_may_pause)
{
    size_t step;
    for (step = 1; step < 50; step++) {
        static sbxi_bind b;
        all a;
        memset(&a, 0, sizeof a);
        pieces[0] = 0;
        pieces_ids = pieces_ends = 0;
        pieces_rc = step & 1 ? SBX_PENDING : SBX_OK;
        sbxi_bind_init(&b, &event_shape, NULL, &a);
        b.piece = on_piece;
        CHECK_INT(feed(&b, "{\"data\":{\"stderr\":\"aGVs\\/bG8=\",\"stdout\":\"\",\"pty\":\"x\"},\"i\":9}", step),
            SBX_OK);
        CHECK_STR(pieces, "aGVs/bG8=");
        CHECK_INT(pieces_ids, 6);
        CHECK_INT(pieces_ends, 2);
        CHECK_INT(a.i, 9);
    }
    {
        static sbxi_bind b;
        all a;
        pieces_rc = SBX_E_SINK;
        sbxi_bind_init(&b, &event_shape, NULL, &a);
        b.piece = on_piece;
        CHECK_INT(feed(&b, "{\"data\":{\"stderr\":\"aGVs\"}}", 99), SBX_E_SINK);
    }
}

/* What is no string has no pieces; a failed hook ends the rows of its name. */
TEST(bind_bytes_of_another_kind_and_beside_another_row)
{
    static const sbxi_field fields[] = {
        { "o", NULL, 0, 1, SBXI_T_BYTES }, { "o", NULL, offsetof(all, seen), 0, SBXI_T_SEEN }
    };
    static const sbxi_shape shape = SBXI_SHAPE(fields, all);
    static sbxi_bind b;
    all a;
    int rc;
    for (rc = SBX_OK; rc >= SBX_E_SINK; rc += SBX_E_SINK) {
        memset(&a, 0, sizeof a);
        pieces[0] = 0;
        pieces_ids = pieces_ends = 0;
        pieces_rc = rc;
        sbxi_bind_init(&b, &shape, NULL, &a);
        b.piece = on_piece;
        CHECK_INT(feed(&b, "{\"o\":[1,\"x\"],\"o\":7,\"o\":null}", 99), SBX_OK);
        CHECK(a.seen && !pieces_ends);
        memset(&a, 0, sizeof a);
        sbxi_bind_init(&b, &shape, NULL, &a);
        b.piece = on_piece;
        CHECK_INT(feed(&b, "{\"o\":\"text\"}", 99), rc);
        CHECK_STR(pieces, "text");
        CHECK_INT(a.seen, rc == SBX_OK);
    }
}

/* ---- nesting -------------------------------------------------------------- */

static const sbxi_field nest8[] = { { "n", NULL, offsetof(all, u), 0, SBXI_T_UINT } };
static const sbxi_shape nest8s = SBXI_SHAPE(nest8, all);
#define NEST(n, below) \
    static const sbxi_field nest##n[] = { \
        { "n", NULL, offsetof(all, i), 0, SBXI_T_INT }, \
        { "o", &below, 0, 0, SBXI_T_OBJECT } \
    }; \
    static const sbxi_shape nest##n##s = SBXI_SHAPE(nest##n, all);
NEST(7, nest8s)
NEST(6, nest7s)
NEST(5, nest6s)
NEST(4, nest5s)
NEST(3, nest4s)
NEST(2, nest3s)

TEST(bind_nests_six_levels)
{
    int rc;
    const all *a = (const all *)read_into(&nest3s, "{\"o\":{\"o\":{\"o\":{\"o\":{\"o\":{\"n\":8}}}}},"
        "\"n\":1}", 4, 9000, &rc);
    CHECK_INT(rc, SBX_OK);
    REQUIRE(a != NULL);
    CHECK_INT(a->u, 8);
    CHECK_INT(a->i, 1);
    /* One more is skipped, not followed. */
    a = (const all *)read_into(&nest2s, "{\"o\":{\"o\":{\"o\":{\"o\":{\"o\":{\"n\":5,\"o\":"
        "{\"n\":8}}}}}}}", 4, 9000, &rc);
    CHECK_INT(rc, SBX_OK);
    REQUIRE(a != NULL);
    CHECK_INT(a->u, 0);
    CHECK_INT(a->i, 5);
}

/* ---- writing -------------------------------------------------------------- */

typedef struct out {
    const char *s;
    int32_t i;
    uint32_t u;
    sbx_choice c;
    sbx_pairs map;
    sbx_strings list;
    inner in;
} out;

#define OUT_ROWS(always) \
    { "s", NULL, offsetof(out, s), always, SBXI_T_STRING }, \
    { "i", NULL, offsetof(out, i), always, SBXI_T_INT }, \
    { "u", NULL, offsetof(out, u), always, SBXI_T_UINT }, \
    { "map", NULL, offsetof(out, map), always, SBXI_T_PAIRS }, \
    { "list", NULL, offsetof(out, list), always, SBXI_T_STRINGS }, \
    { "c", NULL, offsetof(out, c), 0, SBXI_T_CHOICE }, \
    { "in", &inner_shape, offsetof(out, in), 0, SBXI_T_OBJECT }

static const sbxi_field out_fields[] = { OUT_ROWS(0) };
static const sbxi_shape out_shape = SBXI_SHAPE(out_fields, out);
static const sbxi_field out_always_fields[] = { OUT_ROWS(SBXI_ALWAYS),
    { "fix", "const", 0, 0, SBXI_T_LITERAL } };
static const sbxi_shape out_always = SBXI_SHAPE(out_always_fields, out);

static const char *written(const sbxi_shape *shape, const void *base)
{
    static char text[2000];
    sbx_json_writer w;
    heap = sbx_alloc_fixed(&heap_state, heap_memory, sizeof heap_memory);
    sbxi_buf_init(&block, &heap, sizeof text - 1);
    {
        sbx_sink sink = { sbxi_buf_put, &block };
        sbx_json_writer_init(&w, sink);
    }
    sbxi_bind_write(&w, shape, base);
    CHECK_INT(w.status, SBX_OK);
    memcpy(text, block.data, block.len);
    text[block.len] = 0;
    return text;
}

TEST(bind_write_omits_what_is_empty)
{
    out o;
    memset(&o, 0, sizeof o);
    CHECK_STR(written(&out_shape, &o), "{}");
    CHECK_STR(written(&out_always, &o), "{\"s\":\"\",\"i\":0,\"u\":0,\"map\":{},\"list\":[],"
        "\"fix\":\"const\"}");
}

TEST(bind_write_every_type)
{
    static const sbx_pair pairs[] = { { "k", "v\"" }, { "", "" } };
    static const char *const texts[] = { "x", "\xc3\xa9" };
    out o;
    memset(&o, 0, sizeof o);
    o.s = "a\nb";
    o.i = INT32_MIN;
    o.u = UINT32_MAX;
    o.c = SBX_NO;
    o.map.items = pairs;
    o.map.count = 2;
    o.list.items = texts;
    o.list.count = 2;
    o.in.deep = 3;
    o.in.flag = SBX_YES;
    CHECK_STR(written(&out_shape, &o), "{\"s\":\"a\\nb\",\"i\":-2147483648,\"u\":4294967295,"
        "\"map\":{\"k\":\"v\\\"\",\"\":\"\"},\"list\":[\"x\",\"\xc3\xa9\"],\"c\":false,"
        "\"in\":{\"deep\":3,\"flag\":true}}");
}

TEST(bind_write_empty_lists_that_are_there)
{
    out o;
    memset(&o, 0, sizeof o);
    o.map.items = (const sbx_pair *)(const void *)heap_memory;
    o.list.items = (const char *const *)(const void *)heap_memory;
    CHECK_STR(written(&out_shape, &o), "{\"map\":{},\"list\":[]}");
}

TEST(bind_write_nests_and_opens_late)
{
    all a;
    memset(&a, 0, sizeof a);
    CHECK_STR(written(&nest3s, &a), "{}");
    a.u = 5;
    CHECK_STR(written(&nest3s, &a), "{\"o\":{\"o\":{\"o\":{\"o\":{\"o\":{\"n\":5}}}}}}");
    a.u = 0;
    a.i = 1;
    CHECK_STR(written(&nest6s, &a), "{\"n\":1,\"o\":{\"n\":1}}");
}

TEST(bind_write_bytes_as_base64)
{
    typedef struct input { sbx_bytes data; } input;
    static const sbxi_field fields[] = { { "b", NULL, offsetof(input, data), 0, SBXI_T_BYTES } };
    static const sbxi_shape shape = SBXI_SHAPE(fields, input);
    input in;
    memset(&in, 0, sizeof in);
    CHECK_STR(written(&shape, &in), "{}");
    in.data.data = "\0\xff\n";
    in.data.len = 3;
    CHECK_STR(written(&shape, &in), "{\"b\":\"AP8K\"}");
    in.data.len = 0;
    CHECK_STR(written(&shape, &in), "{\"b\":\"\"}");
}

TEST(bind_write_refuses_more_levels)
{
    static sbxi_field loop[] = { { "o", NULL, 0, 0, SBXI_T_OBJECT } };
    static const sbxi_shape endless = SBXI_SHAPE(loop, all);
    sbx_json_writer w;
    sbx_sink none = { NULL, NULL };
    all a;
    memset(&a, 0, sizeof a);
    loop[0].sub = &endless;
    sbx_json_writer_init(&w, none);
    sbxi_bind_write(&w, &endless, &a);
    CHECK_INT(w.status, SBX_E_ARG);
}

TEST(bind_write_passes_errors_on)
{
    sbx_json_writer w;
    out o;
    memset(&o, 0, sizeof o);
    o.s = "\xff";
    heap = sbx_alloc_fixed(&heap_state, heap_memory, sizeof heap_memory);
    sbxi_buf_init(&block, &heap, 100);
    {
        sbx_sink sink = { sbxi_buf_put, &block };
        sbx_json_writer_init(&w, sink);
    }
    sbxi_bind_write(&w, &out_shape, &o);
    CHECK_INT(w.status, SBX_E_ARG);
    sbxi_buf_init(&block, &heap, 5);
    {
        sbx_sink sink = { sbxi_buf_put, &block };
        sbx_json_writer_init(&w, sink);
    }
    o.s = "abcdef";
    sbxi_bind_write(&w, &out_shape, &o);
    CHECK_INT(w.status, SBX_E_TOO_LARGE);
}

/* Every n-th allocation fails: a status, never a crash or a leak. */
static unsigned fail_at, fail_count;
static void *failing_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    if (new_size && fail_count++ >= fail_at) return NULL;
    return heap.resize(ctx, ptr, old_size, new_size);
}

TEST(bind_without_memory)
{
    static const char json[] = "{\"name\":\"a long name that needs room in the block, and more of it\","
        "\"map\":{\"a\":\"1\",\"b\":\"2\"},\"list\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]}";
    int rc = SBX_E_NOMEM;
    heap = sbx_alloc_fixed(&heap_state, heap_memory, sizeof heap_memory);
    for (fail_at = 0; rc != SBX_OK && fail_at < 50; fail_at++) {
        static sbxi_bind b;
        sbx_alloc failing = heap;
        failing.resize = failing_resize;
        fail_count = 0;
        sbxi_buf_init(&block, &failing, 4000);
        sbxi_bind_init(&b, &all_shape, &block, NULL);
        rc = feed(&b, json, 11);
        if (rc != SBX_OK) CHECK_INT(rc, SBX_E_NOMEM);
        sbxi_buf_free(&block);
        CHECK_INT(heap_state.used, 0);
    }
    CHECK_INT(rc, SBX_OK);
    CHECK(fail_at > 2);
}
