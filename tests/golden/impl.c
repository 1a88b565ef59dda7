/* The library itself, compiled once for the runner. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"
#undef SANDBOX_IMPLEMENTATION
#include "golden.h"
#include <stdlib.h>

static int add(void *ctx, const void *data, size_t len)
{
    text_add(ctx, data, len);
    return SBX_OK;
}

bool unpack(const char *p, size_t len, text *out)
{
    sbxi_inflate *z = calloc(1, sizeof *z);
    size_t used;
    bool ok;
    if (!z) abort();
    sbxi_inflate_init(z, add, out);
    ok = sbxi_inflate_feed(z, p, len, &used) == SBX_OK && sbxi_inflate_whole(z);
    free(z);
    return ok;
}
