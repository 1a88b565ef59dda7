/* test.h - the smallest test runner that says where and why a check failed.

       #include "../test.h"                      (after the code under test)
       TEST(addition) { CHECK_INT(1 + 1, 2); }   (no main(): it is below)

   Each TEST() is one count in the last line "N passed, N failed, N skipped".
   A failed CHECK is reported and the test goes on; a failed REQUIRE ends it.
   test_row names the row of a table being tested; it is printed with a failure.
   A test that takes a second or more says so.
   argv[1] runs only the tests whose name contains it. */
#ifndef SBX_TEST_H
#define SBX_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEST_UNUSED __attribute__((unused)) /* tests are built by gcc or clang */

typedef struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
} test_case;

static test_case *test_first, **test_last = &test_first;
static const char *test_now = "";       /* the running test */
static const char *test_row TEST_UNUSED; /* set by the test, NULL: none */
static const char *test_skipped;        /* why the running test was skipped */
static unsigned long test_failures;     /* failed checks of the running test */

#define TEST(id) \
    static void test_##id(void); \
    __attribute__((constructor)) static void test_add_##id(void) \
    { \
        static test_case c = {#id, test_##id, NULL}; \
        *test_last = &c; \
        test_last = &c.next; \
    } \
    static void test_##id(void)

/* Returns false, so that a check can be used as a condition. */
static TEST_UNUSED bool test_fail(const char *file, int line, const char *what)
{
    test_failures++;
    printf("%s:%d: %s%s%s%s: %s", file, line, test_now, test_row ? " [" : "",
        test_row ? test_row : "", test_row ? "]" : "", what);
    return false;
}

static TEST_UNUSED bool test_check(const char *file, int line, bool ok, const char *expr)
{
    if (!ok) {
        test_fail(file, line, expr);
        printf(" is false\n");
    }
    return ok;
}

static TEST_UNUSED bool test_check_int(const char *file, int line, const char *expr,
    int64_t got, int64_t want)
{
    if (got != want) {
        test_fail(file, line, expr);
        printf(" is %lld, not %lld\n", (long long)got, (long long)want);
    }
    return got == want;
}

static TEST_UNUSED void test_print_bytes(const void *data, size_t len)
{
    const unsigned char *p = (const unsigned char *)data;
    size_t i, shown = len > 160 ? 160 : len;
    putchar('"');
    for (i = 0; i < shown; i++)
        if (p[i] >= 32 && p[i] < 127 && p[i] != '"' && p[i] != '\\')
            putchar(p[i]);
        else
            printf("\\x%02x", p[i]);
    printf(shown < len ? "\"... (%lu bytes)" : "\" (%lu bytes)", (unsigned long)len);
}

static TEST_UNUSED bool test_check_mem(const char *file, int line, const char *expr,
    const void *got, size_t got_len, const void *want, size_t want_len)
{
    bool ok = got_len == want_len && (want_len == 0 || (got && want
        && memcmp(got, want, want_len) == 0));
    if (!ok) {
        test_fail(file, line, expr);
        printf(" is\n    ");
        test_print_bytes(got, got ? got_len : 0);
        printf("\n  not\n    ");
        test_print_bytes(want, want ? want_len : 0);
        printf("\n");
    }
    return ok;
}

static TEST_UNUSED bool test_check_str(const char *file, int line, const char *expr,
    const char *got, const char *want)
{
    if (!got && !want)
        return true;
    if (got && want)
        return test_check_mem(file, line, expr, got, strlen(got), want, strlen(want));
    test_fail(file, line, expr);
    printf(" is %s, not %s\n", got ? got : "NULL", want ? want : "NULL");
    return false;
}

/* 0 to 32767, the same in every run. */
static TEST_UNUSED unsigned test_random(void)
{
    static unsigned seed = 1;
    seed = seed * 1103515245u + 12345u;
    return seed >> 16 & 0x7FFF;
}

#define CHECK(expr) test_check(__FILE__, __LINE__, (expr), #expr)
#define CHECK_INT(got, want) \
    test_check_int(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define CHECK_STR(got, want) test_check_str(__FILE__, __LINE__, #got, (got), (want))
#define CHECK_MEM(got, got_len, want, want_len) \
    test_check_mem(__FILE__, __LINE__, #got, (got), (got_len), (want), (want_len))
#define REQUIRE(expr) do { if (!CHECK(expr)) return; } while (0)
#define SKIP(why) do { test_skipped = (why); return; } while (0)

static double test_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    unsigned long passed = 0, failed = 0, skipped = 0;
    test_case *c;
    double began;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a crash must not lose the lines before it */
    for (c = test_first; c; c = c->next) {
        if (argc > 1 && !strstr(c->name, argv[1]))
            continue;
        test_now = c->name;
        test_row = test_skipped = NULL;
        test_failures = 0;
        began = test_clock();
        c->run();
        if (test_clock() - began >= 1) printf("%s: %.1f s\n", c->name, test_clock() - began);
        if (test_failures) {
            failed++;
            printf("FAILED %s\n", c->name);
        } else if (test_skipped) {
            skipped++;
            printf("skipped %s: %s\n", c->name, test_skipped);
        } else
            passed++;
    }
    if (passed + failed + skipped == 0) {
        printf("no test matches\n");
        failed = 1;
    }
    printf("%lu passed, %lu failed, %lu skipped\n", passed, failed, skipped);
    return failed != 0;
}

#endif
