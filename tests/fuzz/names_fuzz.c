/* Addresses are read as the C library reads them; pins are 32 bytes of base64 and
   nothing else; a host, token or value holds no byte that could end it. Input: text. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/public.h"
#include "../../sandbox_impl/base/base.c"
#include "../../sandbox_impl/base/alloc.c"
#include "../../sandbox_impl/base/buf.c"
#include "../../sandbox_impl/codec/base64.c"
#include "../../sandbox_impl/codec/percent.c"
#include "../../sandbox_impl/net/tls_names.c"
#include "fuzz.h"
#include <arpa/inet.h>

static void check_address(const char *text)
{
    unsigned char ours[16], theirs[16];
    size_t n = sbxi_ip_parse(text, ours);
    if (strchr(text, '%')) {
        FUZZ_REQUIRE(n == 0 || n == 16);
        return;
    }
    FUZZ_REQUIRE((n == 4) == (inet_pton(AF_INET, text, theirs) == 1));
    if (n == 4) FUZZ_REQUIRE(memcmp(ours, theirs, 4) == 0);
    FUZZ_REQUIRE((n == 16) == (inet_pton(AF_INET6, text, theirs) == 1));
    if (n == 16) FUZZ_REQUIRE(memcmp(ours, theirs, 16) == 0);
}

static void check_pins(const char *text)
{
    unsigned char pin[32];
    const char *at = text;
    unsigned n = 0;
    int rc;
    while ((rc = sbxi_pin_next(&at, pin)) > 0) {
        FUZZ_REQUIRE(at > text && strchr(" ;", *at));
        if (sbxi_pin_check(text)) FUZZ_REQUIRE(sbxi_pin_has(text, pin));
        n++;
    }
    FUZZ_REQUIRE(sbxi_pin_check(text) == (rc == 0 && n > 0));
    FUZZ_REQUIRE(strlen(text) >= 44 * n);
}

FUZZ_TARGET(data, size)
{
    char *exact = fuzz_copy(data, size), *text = fuzz_text(data, size);
    sbxi_span s = { exact, size };
    size_t i;
    check_address(text);
    check_pins(text);
    if (sbxi_is_token(s))
        for (i = 0; i < size; i++) FUZZ_REQUIRE(data[i] > ' ' && data[i] < 0x7f
            && !strchr("\"(),/:;<=>?@[\\]{}", data[i]));
    if (sbxi_is_field_value(s))
        for (i = 0; i < size; i++) FUZZ_REQUIRE(data[i] == '\t' || (data[i] >= ' ' && data[i] != 0x7f));
    if (sbxi_is_host(s))
        for (i = 0; i < size; i++) FUZZ_REQUIRE(size <= 253
            && (sbxi_is_alnum(exact[i]) || strchr("-_.:[]", exact[i])));
    free(text);
    free(exact);
}
