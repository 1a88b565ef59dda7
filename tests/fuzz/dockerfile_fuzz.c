/* dockerfile_fuzz - any text as a Dockerfile: it is refused with a line and a reason, or
   becomes a template whose JSON is well formed, and whose own Dockerfile can be made. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

typedef struct check { sbx_json_reader json; int status; size_t len; } check;

static int ignore(void *ctx, const sbx_json_event *event)
{
    (void)ctx;
    (void)event;
    return SBX_OK;
}

static int to_json(void *ctx, const void *data, size_t len)
{
    check *c = ctx;
    c->len += len;
    c->status = sbx_json_feed(&c->json, data, len, NULL);
    return c->status;
}

static int to_text(void *ctx, const void *data, size_t len)
{
    FUZZ_REQUIRE(!memchr(data, 0, len));
    *(size_t *)ctx += len;
    return SBX_OK;
}

static void notice(void *ctx, int line, const char *text)
{
    FUZZ_REQUIRE(line > 0 && text[0]);
    ++*(size_t *)ctx;
}

FUZZ_TARGET(data, size)
{
    sbx_config g;
    sbx_client *client;
    sbx_template *t;
    check c;
    sbx_sink sink = { to_json, &c };
    size_t notices = 0, len = 0;
    int rc;
    memset(&g, 0, sizeof g);
    memset(&c, 0, sizeof c);
    g.provider = &sbx_e2b;
    g.api_key = "k";
    g.environment = SBX_NO;
    if (sbx_open(&client, &g) != SBX_OK) abort();
    t = sbx_template_new(client);
    rc = sbx_template_from_dockerfile(t, (const char *)data, size, notice, &notices);
    FUZZ_REQUIRE(rc == sbx_template_error(t)->status);
    if (rc != SBX_OK) {
        FUZZ_REQUIRE(rc == SBX_E_ARG || rc == SBX_E_TOO_LARGE);
        FUZZ_REQUIRE(sbx_template_error(t)->message[0]);
    } else {
        sbx_json_init(&c.json, ignore, NULL);
        rc = sbx_template_to_json(t, sink);
        FUZZ_REQUIRE(rc == SBX_E_ARG || (rc == SBX_OK && sbx_json_end(&c.json) == SBX_OK));
        sink.put = to_text;
        sink.ctx = &len;
        FUZZ_REQUIRE(sbx_template_to_dockerfile(t, sink) == SBX_OK);
    }
    sbx_template_release(t);
    sbx_close(client);
}
