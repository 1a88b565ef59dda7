/* silent_test - without texts for people: what is wrong is refused all the same. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#define SBX_NO_ERROR_TEXT
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

static int absolute(sbx_template *t) { return sbx_template_copy(t, "/abs", "b", NULL); }
static int nothing(sbx_template *t) { return sbx_template_run(t, NULL, NULL); }
static int no_utf8(sbx_template *t) { return sbx_template_run(t, "\xFF", NULL); }
static int no_gateway(sbx_template *t)
{
    static const char *const names[] = { "exa" };
    sbx_strings one = { names, 1 };
    return sbx_template_mcp_servers(t, one);
}
static int stages(sbx_template *t)
{
    static const char file[] = "FROM x\nCOPY --from=y a b\n";
    return sbx_template_from_dockerfile(t, file, sizeof file - 1, NULL, NULL);
}
static int no_from(sbx_template *t)
{
    return sbx_template_from_dockerfile(t, "RUN a\n", 6, NULL, NULL);
}
static int no_end(sbx_template *t)
{
    return sbx_template_from_dockerfile(t, "FROM x\nRUN <<A\n", 15, NULL, NULL);
}

TEST(wrong_without_a_word)
{
    static int (*const rows[])(sbx_template *t) = { absolute, nothing, no_utf8, no_gateway,
        stages, no_from, no_end };
    sbx_config config;
    sbx_client *c;
    size_t i;
    memset(&config, 0, sizeof config);
    config.provider = &sbx_e2b;
    config.api_key = "k";
    config.environment = SBX_NO;
    REQUIRE(sbx_open(&c, &config) == SBX_OK);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        sbx_template *t = sbx_template_new(c);
        CHECK_INT(rows[i](t), SBX_E_ARG);
        CHECK_INT(sbx_template_run(t, "fine", NULL), SBX_E_ARG);
        sbx_template_release(t);
    }
    CHECK_INT(sbx_close(c), SBX_OK);
}
