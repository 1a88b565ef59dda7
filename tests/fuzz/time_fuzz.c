/* Dates: what is read lies in the years 1970 to 9999 (but for the offset), printed
   it reads the same; what is refused changes nothing; any time prints. Input: a
   time in its first 8 bytes, and all of it as text. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

#define DAY 86400000
#define LAST 253402300799999 /* of the year 9999, ms */

static void check(int64_t ms)
{
    char text[SBXI_TIME_MAX];
    int64_t again = 0, want = ms < 0 ? 0 : ms > LAST ? LAST : ms;
    size_t n;
    memset(text, '#', sizeof text);
    n = sbxi_print_time(text, ms);
    FUZZ_REQUIRE(n == 25 && strlen(text) == n);
    FUZZ_REQUIRE(sbxi_parse_time(text, &again));
    FUZZ_REQUIRE(again == want - want % 1000);
}

FUZZ_TARGET(data, size)
{
    char *text = fuzz_text(data, size);
    int64_t ms = 42;
    if (sbxi_parse_time(text, &ms)) {
        FUZZ_REQUIRE(ms > -DAY && ms <= LAST + DAY + 1000);
        if (ms >= 0) check(ms);
    } else {
        FUZZ_REQUIRE(ms == 42);
    }
    ms = 42;
    if (sbxi_parse_http_date(text, &ms)) {
        FUZZ_REQUIRE(ms >= 0 && ms <= LAST + 1000 && ms % 1000 == 0);
        check(ms);
    } else {
        FUZZ_REQUIRE(ms == 42);
    }
    free(text);
    if (size < 8) return;
    memcpy(&ms, data, 8);
    check(ms);
}
