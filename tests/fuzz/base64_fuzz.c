/* Base64: any cut gives the same bytes and the same verdict, also in place; what
   was decoded encodes to the same letters; any bytes come back. Input: seed, text. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

/* In place, whole or cut; *len gets the number of bytes before the end or error. */
static int run(char *text, size_t size, uint32_t seed, size_t *len)
{
    sbx_base64 state = { 0 };
    size_t pos = 0, n, got;
    int rc = SBX_OK;
    for (*len = 0; rc == SBX_OK && pos < size; pos += n) {
        n = seed ? fuzz_piece(&seed, size - pos) : size - pos;
        rc = sbx_base64_decode(&state, text + pos, n, text + *len, &got);
        *len += got;
        FUZZ_REQUIRE(*len <= (pos + n) / 4 * 3 + 2);
    }
    return rc == SBX_OK ? sbx_base64_end(&state) : rc;
}

FUZZ_TARGET(data, size)
{
    char *whole, *cut, *letters;
    size_t n[2], i, k;
    int rc;
    if (size < 1) return;
    whole = fuzz_copy(data + 1, size - 1);
    cut = fuzz_copy(data + 1, size - 1);
    letters = (char *)malloc(size / 3 * 4 + 8);
    if (!letters) abort();
    rc = run(whole, size - 1, 0, &n[0]);
    FUZZ_REQUIRE(rc == SBX_OK || rc == SBX_E_PROTOCOL);
    FUZZ_REQUIRE(run(cut, size - 1, data[0] + 1u, &n[1]) == rc);
    FUZZ_REQUIRE(n[0] == n[1] && memcmp(whole, cut, n[0]) == 0);
    if (rc == SBX_OK) { /* the same letters, but for URL forms, padding and unused bits */
        k = sbx_base64_encode(letters, whole, n[0]);
        for (i = 0; i < k && i < n[0] / 3 * 4; i++)
            FUZZ_REQUIRE(letters[i] == (char)data[i + 1]
                || (letters[i] == '+' && data[i + 1] == '-')
                || (letters[i] == '/' && data[i + 1] == '_'));
        FUZZ_REQUIRE(k == (n[0] + 2) / 3 * 4);
    }
    k = sbx_base64_encode(letters, data, size);
    FUZZ_REQUIRE(run(letters, k, data[0] + 1u, &n[0]) == SBX_OK);
    FUZZ_REQUIRE(n[0] == size && memcmp(letters, data, size) == 0);
    free(letters);
    free(cut);
    free(whole);
}
