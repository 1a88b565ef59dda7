/* Reader: the events of every split equal those of the whole; limits, flags,
   pauses, errors. Writer: exact text, errors, and back through the reader. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

/* Events as text: pieces of a string are joined, the flags of its last count. */
typedef struct events { char text[20000]; size_t len; bool open; int rc, at_end; unsigned pauses; } events;

static void log_add(events *e, const char *text, size_t len)
{
    if (e->len + len >= sizeof e->text) abort();
    if (len) memcpy(e->text + e->len, text, len);
    e->text[e->len += len] = 0;
}

static int on_event(void *ctx, const sbx_json_event *ev)
{
    events *e = (events *)ctx;
    char tail[40];
    if (!e->open) log_add(e, &"{}[]KSNtfn"[ev->type], 1);
    log_add(e, ev->text, ev->len);
    e->open = (ev->flags & SBX_JSON_MORE) != 0;
    if (!e->open) {
        snprintf(tail, sizeof tail, "%s%s@%u ", ev->flags & SBX_JSON_CUT ? "!cut" : "",
            ev->flags & SBX_JSON_LONE ? "!lone" : "", ev->depth);
        log_add(e, tail, strlen(tail));
    }
    if (e->pauses && test_random() % e->pauses == 0) return SBX_PENDING;
    return e->rc;
}

/* Reads with pieces of `step` bytes (0: random), each in memory of its own size. */
static int read_json(events *e, const char *json, size_t n, size_t step, unsigned pauses)
{
    sbx_json_reader r;
    size_t i, used;
    int rc = SBX_OK;
    memset(e, 0, offsetof(events, rc));
    e->pauses = pauses;
    sbx_json_init(&r, on_event, e);
    for (i = 0; i < n && rc >= 0; i += used) {
        size_t want = step ? step : 1 + test_random() % 40;
        char *piece;
        if (want > n - i) want = n - i;
        piece = (char *)malloc(want);
        if (!piece) abort();
        memcpy(piece, json + i, want);
        rc = sbx_json_feed(&r, piece, want, &used);
        free(piece);
        CHECK(rc != SBX_OK || used == want);
        CHECK(rc != SBX_PENDING || (used > 0 && used <= want) || pauses);
    }
    e->at_end = (int)i;
    return rc >= 0 ? sbx_json_end(&r) : rc;
}

static events one, two;

static const char *read_text(const char *json)
{
    one.rc = 0;
    if (read_json(&one, json, strlen(json), 100000, 0) != SBX_OK) return "refused";
    return one.text;
}

TEST(json_events)
{
    CHECK_STR(read_text(" {\"a\" : [1,-0.5e3,\"x\\u00e9\",true,{}],\"\":\"\",\"b\":null,\"c\":false} \n"),
        "{@0 Ka@1 [@1 N1@2 N-0.5e3@2 Sx\xc3\xa9@2 t@2 {@2 }@2 ]@1 K@1 S@1 Kb@1 n@1 Kc@1 f@1 }@0 ");
    CHECK_STR(read_text("\t[\r\n\t1\t,\r2 ]\t"), "[@0 N1@1 N2@1 ]@0 ");
    CHECK_STR(read_text("12"), "N12@0 ");
    CHECK_STR(read_text("\"\""), "S@0 ");
    CHECK_STR(read_text("[]"), "[@0 ]@0 ");
    CHECK_STR(read_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "S\"\\/\b\f\n\r\t@0 ");
    CHECK_STR(read_text("\"\\uD83D\\ude00\\u0041\\u07ff\\uffff\""),
        "S\xf0\x9f\x98\x80" "A\xdf\xbf\xef\xbf\xbf@0 ");
}

TEST(json_lone_surrogates)
{
    CHECK_STR(read_text("\"a\\ud800b\""), "Sa\xef\xbf\xbd" "b!lone@0 ");
    CHECK_STR(read_text("\"\\udc00\""), "S\xef\xbf\xbd!lone@0 ");
    CHECK_STR(read_text("\"\\ud800\\ud800\\udc00\""), "S\xef\xbf\xbd\xf0\x90\x80\x80!lone@0 ");
    CHECK_STR(read_text("\"\\ud800\\n\""), "S\xef\xbf\xbd\n!lone@0 ");
    CHECK_STR(read_text("\"\\ud800\""), "S\xef\xbf\xbd!lone@0 ");
    CHECK_STR(read_text("{\"\\udbff\":1}"), "{@0 K\xef\xbf\xbd!lone@1 N1@1 }@0 ");
    CHECK_STR(read_text("[\"\\ud800\",\"b\"]"), "[@0 S\xef\xbf\xbd!lone@1 Sb@1 ]@0 ");
}

TEST(json_long_keys_and_numbers_are_cut_the_same)
{
    size_t n, step;
    for (n = 62; n < 68; n++) {
        char json[300], want[300], text[80];
        memset(text, '7', n);
        text[n] = 0;
        snprintf(json, sizeof json, "{\"%s\":%s}", text, text);
        snprintf(want, sizeof want, "{@0 K%.64s%s@1 N%.64s%s@1 }@0 ", text, n > 64 ? "!cut" : "", text,
            n > 64 ? "!cut" : "");
        for (step = 1; step < 160; step++) {
            CHECK_INT(read_json(&one, json, strlen(json), step, 0), SBX_OK);
            CHECK_STR(one.text, want);
        }
    }
}

TEST(json_refuses)
{
    static const char *const bad[] = { "", " ", "{", "[", "\"", "\"\\", "\"\\u12", "tru", "truth", "nul",
        "01", "-", "1.", "1.e1", ".5", "1e", "1e+", "+1", "--1", "0x1", "1 2", "[1,]", "[,1]", "{,}",
        "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "[1}", "{\"a\":1]", "]", "}", "[]]", "{}}",
        "\"\n\"", "\"\x1f\"", "\"\\x\"", "\"\\u12g4\"", "\"\\U1234\"", "'a'", "\"a\"b", "[1 1]", ":", ",",
        "[\"a\":1]", "\xEF\xBB\xBF{}", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"", "\"\xe0\x9f\xbf\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xc3\"", "\"\xe4\xb8\"",
        "\"\x80\"", "\"\xc3(\"", "\"\xe4\xb8x\"", "[1,\v2]", "\f1", "NaN", "Infinity", "// x\n1", "[1]x", "\xc2\xa0[]" };
    size_t k, step;
    for (k = 0; k < SBXI_LEN(bad); k++)
        for (step = 1; step < 12; step++) {
            test_row = bad[k];
            CHECK_INT(read_json(&one, bad[k], strlen(bad[k]), step, 0), SBX_E_BAD_JSON);
        }
    test_row = NULL;
}

TEST(json_utf8_is_judged_exactly)
{
    /* Every sequence of a lead byte and edge continuations, by the definition. */
    static const unsigned char edges[] = { 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF };
    unsigned lead;
    size_t a, b, c, n, step;
    for (lead = 0x80; lead < 0x100; lead++)
        for (n = 2; n <= 4; n++)
            for (a = 0; a < 8; a++)
                for (b = 0; b < (n > 2 ? 8u : 1u); b++)
                    for (c = 0; c < (n > 3 ? 8u : 1u); c++) {
                        unsigned char s[16] = { '"' };
                        uint32_t code = n == 2 ? lead & 0x1F : n == 3 ? lead & 0x0F : lead & 0x07;
                        size_t i, k = 0;
                        bool good = n == 2 ? (lead & 0xE0) == 0xC0 : n == 3 ? (lead & 0xF0) == 0xE0
                            : (lead & 0xF8) == 0xF0;
                        s[1] = (unsigned char)lead;
                        s[2] = edges[a];
                        s[3] = edges[b];
                        s[4] = edges[c];
                        for (i = 2; i <= n; i++) {
                            good = good && (s[i] & 0xC0) == 0x80;
                            code = code << 6 | (s[i] & 0x3F);
                        }
                        good = good && code >= (n == 2 ? 0x80u : n == 3 ? 0x800u : 0x10000u)
                            && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
                        s[n + 1] = '"';
                        for (step = 1; step < 16; step += 14) {
                            if ((read_json(&one, (char *)s, n + 2, step, 0) == SBX_OK) != good && ++k < 3) {
                                CHECK(good == !good);
                                printf("  %02x %02x %02x %02x of %d\n", s[1], s[2], s[3], s[4], (int)n);
                            }
                        }
                        for (step = 3; step < 20; step++) { /* anywhere in a block */
                            char wide[80];
                            memset(wide, 'a', sizeof wide);
                            wide[0] = wide[79] = '"';
                            memcpy(wide + step, s + 1, n);
                            if (step & 1) memcpy(wide + step + n, "\xc3\xa9", 2);
                            if ((read_json(&one, wide, sizeof wide, sizeof wide, 0) == SBX_OK) != good && ++k < 3) {
                                CHECK(good == !good);
                                printf("  %02x %02x %02x %02x of %d at %d\n", s[1], s[2], s[3], s[4], (int)n, (int)step);
                            }
                        }
                    }
}

TEST(json_any_split_and_pause_is_the_same)
{
    static const char *const parts[] = { "{", "}", "[", "]", ",", ":", "\"", "\\u", "d800", "DC00", "\\n",
        "\\\"", "abc", "0041", "1", "0", "-", "2.5", "e", "E+", "true", "false", "null", " ", "\n",
        "\xc3\xa9", "\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad", "\xf0\x9f\x98\x80", "\xed\xa0", "\"k\":", "1234567890123456789",
        "\"a string that is longer than the scratch for keys, which has only 64 bytes\"",
        "\n                     ", "\"a\\u00e9\\ud83d\\ude00\"", "\\ud800\\ud800\\ud800\\ud800",
        "\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d\\u6587" };
    unsigned good = 0, round, try;
    for (round = 0; round < 20000; round++) {
        char json[8192];
        size_t n = 0;
        unsigned k = test_random() % 24;
        int rc;
        if (round & 1) json[n++] = '[';
        if (round & 2) json[n++] = '"';
        while (k--) {
            const char *part = parts[test_random() % SBXI_LEN(parts)];
            memcpy(json + n, part, strlen(part));
            n += strlen(part);
        }
        if (round & 2) json[n++] = '"';
        if (round & 1) json[n++] = ']';
        rc = read_json(&one, json, n, 100000, 0);
        good += rc == SBX_OK;
        for (try = 0; try < 4; try++) {
            int other = read_json(&two, json, n, try == 0 ? 1 : 0, try > 1 ? 2 : 0);
            bool same = rc == other && one.at_end == two.at_end
                && (rc != SBX_OK || strcmp(one.text, two.text) == 0);
            CHECK(same);
            if (!same) CHECK_MEM(json, n, "", 0);
        }
    }
    CHECK(good > 1000);
}

/* More escapes in a row than one gathered piece holds; then one that is unusual. */
TEST(json_long_rows_of_escapes)
{
    static const char *const escapes[] = { "\\n", "\\u4e2d", "\\ud83d\\ude00", "\\/x" };
    static const char *const ends[] = { "\"]", "\\ud800\"]", "\\\xc3\xa9\"]          ", "\\x\"]          " };
    size_t k, end, n, i, step;
    for (k = 0; k < SBXI_LEN(escapes); k++)
        for (end = 0; end < SBXI_LEN(ends); end++)
            for (n = 500; n < 524; n++) {
                char json[8192] = "[\"";
                int rc;
                test_row = escapes[k];
                for (i = 0; i < n; i++) strcat(json, escapes[k]);
                strcat(json, ends[end]);
                rc = read_json(&one, json, strlen(json), sizeof json, 0);
                CHECK_INT(rc, end < 2 ? SBX_OK : SBX_E_BAD_JSON);
                for (step = 1; step < 8000; step = step * 3 + 1) {
                    CHECK_INT(read_json(&two, json, strlen(json), step, 0), rc);
                    if (rc == SBX_OK) CHECK_STR(two.text, one.text);
                    CHECK_INT(two.at_end, one.at_end);
                }
            }
    test_row = NULL;
}

/* Bytes of a text that is long enough for the wide loops, some of them wrong: whole
   and byte by byte must say the same. */
TEST(json_wide_loops_judge_as_the_state_machine)
{
    static const char *const values[] = { "\"short\"", "\"a text of more than sixteen bytes, and then more\"",
        "12", "-0.25", "123456789012345678.5e+12", "1e5", "0", "[]", "{}", "[ 1 , 2 ]", "{\n  \"k\" : 1 }", "true", "false",
        "null", "\"caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80 \xc3\xbc and so on and on\"", "\"\\u00e9 \\n \\ud83d\\ude00 \\\\ plain text behind\"",
        "\"\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad\"",
        "11111111111111111111111111111111111111111111111111111111111111111111", "1.2345678901234567890123456789012345" };
    static const char *const gaps[] = { "", "", " ", "\n", "\n  ", "\n                 ", "\r\n\t", "  \n      " };
    static const unsigned char wrong[] = { 0, 0x1f, ' ', '"', '\\', ',', ':', '[', ']', '{', '}', '0', '9', '.', 'e', '-', 0x7f,
        0x80, 0x8f, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc3, 0xe0, 0xe4, 0xed, 0xf0, 0xf4, 0xf5, 0xff };
    unsigned round, good = 0, bad = 0;
    for (round = 0; round < 30000; round++) {
        char json[4096];
        size_t n = 0;
        unsigned k;
        int rc;
        json[n++] = '{';
        for (k = 1 + test_random() % 12; k > 0; k--) {
            const char *gap = gaps[test_random() % SBXI_LEN(gaps)], *colon = test_random() % 3 ? ": " : gap[0] ? " :" : ":";
            n += (size_t)sprintf(json + n, "%s\"key%.*s\"%s%s%s%s", gap, (int)(test_random() % 70),
                "the name of a member, which may be longer than what fits the token of it", colon,
                values[test_random() % SBXI_LEN(values)], gap, k > 1 ? "," : "}");
        }
        memset(json + n, ' ', 60); /* room ahead for all of it */
        n += 60;
        for (k = test_random() % 3; k > 0; k--) json[test_random() % (n - 50)] = (char)wrong[test_random() % SBXI_LEN(wrong)];
        rc = read_json(&one, json, n, 100000, 0);
        if (rc == SBX_OK) good++;
        else bad++;
        for (k = 0; k < 3; k++) {
            bool same = read_json(&two, json, n, k == 0 ? 1 : k == 1 ? 61 : 500, k == 2 ? 3 : 0) == rc
                && one.at_end == two.at_end && (rc != SBX_OK || strcmp(one.text, two.text) == 0);
            CHECK(same);
            if (!same) CHECK_MEM(json, n, "", 0);
        }
    }
    CHECK(good > 5000 && bad > 5000);
}

/* Pieces that end at every byte of a token, wide blocks at every distance to it. */
TEST(json_pieces_end_anywhere)
{
    static const char format[] = "{\"%.*s\":\"%.*s\",\"list\":[1,22.5,true,{\"in\":\"side\"},\"%.*s\"] ,\n \"x\" :-1e9}";
    static const char text[] = "nothing but plain text, quite a lot of it, so that blocks follow each other";
    char json[400];
    int shift;
    size_t n, step;
    for (shift = 0; shift < 34; shift++) {
        n = (size_t)snprintf(json, sizeof json, format, shift, text, 70 - shift, text, 20 + shift, text);
        CHECK_INT(read_json(&one, json, n, 1, 0), SBX_OK);
        for (step = 2; step <= n; step++) {
            CHECK_INT(read_json(&two, json, n, step, 0), SBX_OK);
            CHECK_STR(two.text, one.text);
        }
        n = (size_t)snprintf(json, sizeof json, "\"%.*s\"", 40 + shift, text);
        CHECK_INT(read_json(&two, json, n, n, 0), SBX_OK);
        CHECK_INT(two.len, 44 + shift);
    }
}

TEST(json_says_where)
{
    sbx_json_reader r;
    size_t used = 99;
    memset(&one, 0, sizeof one);
    sbx_json_init(&r, on_event, &one);
    CHECK_INT(sbx_json_feed(&r, "[1, x]", 6, &used), SBX_E_BAD_JSON);
    CHECK_INT(used, 4);
    CHECK_INT(sbx_json_feed(&r, "1", 1, &used), SBX_E_BAD_JSON); /* sticky */
    CHECK_INT(used, 0);
    CHECK_INT(sbx_json_end(&r), SBX_E_BAD_JSON);
}

TEST(json_callback_stops)
{
    sbx_json_reader r;
    size_t used = 99;
    memset(&one, 0, sizeof one);
    one.rc = SBX_E_SINK;
    sbx_json_init(&r, on_event, &one);
    CHECK_INT(sbx_json_feed(&r, "[1]", 3, &used), SBX_E_SINK);
    CHECK_STR(one.text, "[@0 ");
    CHECK_INT(sbx_json_end(&r), SBX_E_SINK);
    one.rc = 0;
    memset(&one, 0, sizeof one);
    sbx_json_init(&r, on_event, &one);
    CHECK_INT(sbx_json_feed(&r, "12", 2, NULL), SBX_OK);
    one.rc = SBX_E_SINK; /* the last number comes at the end */
    CHECK_INT(sbx_json_end(&r), SBX_E_SINK);
    one.rc = 0;
}

TEST(json_depth_limit)
{
    char json[2 * SBX_MAX_JSON_DEPTH + 4];
    size_t d;
    for (d = SBX_MAX_JSON_DEPTH - 1; d <= SBX_MAX_JSON_DEPTH + 1; d++) {
        memset(json, '[', d);
        memset(json + d, ']', d);
        CHECK_INT(read_json(&one, json, 2 * d, 7, 0), d > SBX_MAX_JSON_DEPTH ? SBX_E_TOO_LARGE : SBX_OK);
        CHECK_INT(read_json(&one, json, 2 * d, 2 * d, 0), d > SBX_MAX_JSON_DEPTH ? SBX_E_TOO_LARGE : SBX_OK);
    }
    CHECK(sizeof(sbx_json_reader) <= 140);
}

TEST(json_nothing_is_nothing)
{
    sbx_json_reader r;
    memset(&one, 0, sizeof one);
    sbx_json_init(&r, on_event, &one);
    CHECK_INT(sbx_json_feed(&r, NULL, 0, NULL), SBX_OK);
    CHECK_INT(sbx_json_feed(&r, "nul", 3, NULL), SBX_OK);
    CHECK_INT(sbx_json_feed(&r, NULL, 0, NULL), SBX_OK);
    CHECK_INT(sbx_json_feed(&r, "l", 1, NULL), SBX_OK);
    CHECK_INT(sbx_json_end(&r), SBX_OK);
    CHECK_STR(one.text, "n@0 ");
}

/* ---- writer --------------------------------------------------------------- */

static char out[70000];
static sbx_memory out_memory;

static int put_out(void *ctx, const void *data, size_t len)
{
    (void)ctx;
    if (len > out_memory.cap - out_memory.len) return SBX_E_TOO_LARGE;
    memcpy(out + out_memory.len, data, len);
    out_memory.len += len;
    return SBX_OK;
}

static sbx_json_writer writer(size_t cap)
{
    sbx_json_writer w;
    sbx_sink sink = { put_out, NULL };
    memset(&out_memory, 0, sizeof out_memory);
    out_memory.cap = cap;
    sbx_json_writer_init(&w, sink);
    return w;
}

TEST(json_write_all_kinds)
{
    sbx_json_writer w = writer(sizeof out);
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "a\"b");
    sbx_json_begin_array(&w);
    sbx_json_int(&w, 0);
    sbx_json_int(&w, INT64_MIN);
    sbx_json_int(&w, INT64_MAX);
    sbx_json_bool(&w, true);
    sbx_json_bool(&w, false);
    sbx_json_null(&w);
    sbx_json_begin_object(&w);
    sbx_json_end_object(&w);
    sbx_json_begin_array(&w);
    sbx_json_end_array(&w);
    sbx_json_raw(&w, "[1, 2]", 6);
    sbx_json_text(&w, "");
    sbx_json_end_array(&w);
    sbx_json_key(&w, "");
    sbx_json_base64(&w, "hello", 5);
    sbx_json_key(&w, "t");
    sbx_json_string(&w, "\0\x1f\"\\/\b\f\n\r\t\x7f\xc3\xa9", 13);
    sbx_json_end_object(&w);
    CHECK_INT(w.status, SBX_OK);
    out[out_memory.len] = 0;
    CHECK_STR(out, "{\"a\\\"b\":[0,-9223372036854775808,9223372036854775807,true,false,null,{},[],[1, 2],\"\"],"
        "\"\":\"aGVsbG8=\",\"t\":\"\\u0000\\u001f\\\"\\\\/\\b\\f\\n\\r\\t\x7f\xc3\xa9\"}");
}

TEST(json_write_base64_of_any_length)
{
    static char data[300], want[500];
    size_t n;
    for (n = 0; n < sizeof data; n++) {
        sbx_json_writer w = writer(sizeof out);
        size_t len;
        data[n] = (char)test_random();
        sbx_json_base64(&w, data, n);
        want[0] = '"';
        len = 1 + sbx_base64_encode(want + 1, data, n);
        want[len++] = '"';
        CHECK_MEM(out, out_memory.len, want, len);
    }
}

TEST(json_write_refuses_bad_utf8)
{
    static const char *const bad[] = { "\xff", "a\x80", "\xc3", "\xe4\xb8", "\xed\xa0\x80", "\xc0\x80",
        "\xf4\x90\x80\x80", "\xc3\x28" };
    size_t k;
    for (k = 0; k < SBXI_LEN(bad); k++) {
        sbx_json_writer w = writer(sizeof out);
        size_t len;
        sbx_json_text(&w, bad[k]);
        CHECK_INT(w.status, SBX_E_ARG);
        len = out_memory.len;
        sbx_json_int(&w, 1);
        CHECK_INT(out_memory.len, len); /* nothing follows an error */
        w = writer(sizeof out);
        sbx_json_begin_object(&w);
        sbx_json_key(&w, bad[k]);
        CHECK_INT(w.status, SBX_E_ARG);
    }
}

TEST(json_write_sink_errors_stick)
{
    size_t cap;
    for (cap = 0; cap < 14; cap++) {
        sbx_json_writer w = writer(cap);
        sbx_json_begin_array(&w);
        sbx_json_text(&w, "abc\n");
        sbx_json_int(&w, 12);
        sbx_json_end_array(&w);
        CHECK_INT(w.status, cap < 12 ? SBX_E_TOO_LARGE : SBX_OK);
        CHECK(out_memory.len <= cap);
    }
}

TEST(json_write_without_a_sink)
{
    sbx_json_writer w;
    sbx_sink none = { NULL, NULL };
    sbx_json_writer_init(&w, none);
    sbx_json_text(&w, "x");
    CHECK_INT(w.status, SBX_OK);
}

/* What is written is read back as the same text, over every code point. */
TEST(json_write_and_read_back)
{
    uint32_t code;
    for (code = 0; code < 0x110000; code += code < 0x900 ? 1 : 251) {
        char utf8[4];
        size_t n;
        sbx_json_writer w = writer(sizeof out);
        if (code >= 0xD800 && code < 0xE000) continue;
        n = sbxi_utf8_put(utf8, code);
        sbx_json_string(&w, utf8, n);
        CHECK_INT(w.status, SBX_OK);
        if (read_json(&one, out, out_memory.len, 3, 0) != SBX_OK || one.text[0] != 'S'
            || memcmp(one.text + 1, utf8, n) != 0) {
            CHECK_INT(code, -1);
            return;
        }
    }
}
