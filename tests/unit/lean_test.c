/* The build with fewest functions: what is left out says so. */
#define SBX_NO_TLS
#define SBX_NO_PROC
#define SBX_NO_EXTRAS
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TEMPLATE
#define SBX_NO_RUN_CODE
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

TEST(supports_what_is_left)
{
    static const sbx_feature left[] = { SBX_FEATURE_SANDBOX_CREATE, SBX_FEATURE_SANDBOX_CONNECT,
        SBX_FEATURE_SANDBOX_GET_INFO, SBX_FEATURE_SANDBOX_LIST, SBX_FEATURE_SANDBOX_SET_TIMEOUT,
        SBX_FEATURE_SANDBOX_KILL, SBX_FEATURE_SANDBOX_IS_RUNNING, SBX_FEATURE_SANDBOX_HOST,
        SBX_FEATURE_INVOKE, SBX_FEATURE_COMMAND_RUN, SBX_FEATURE_COMMAND_KILL,
        SBX_FEATURE_COMMAND_SIGNAL, SBX_FEATURE_COMMAND_SEND_STDIN,
        SBX_FEATURE_COMMAND_CLOSE_STDIN, SBX_FEATURE_COMMAND_LIST, SBX_FEATURE_FILES_READ,
        SBX_FEATURE_FILES_WRITE, SBX_FEATURE_FILES_WRITE_MANY,
        SBX_FEATURE_FILES_LIST, SBX_FEATURE_FILES_STAT, SBX_FEATURE_FILES_EXISTS,
        SBX_FEATURE_FILES_REMOVE, SBX_FEATURE_FILES_RENAME, SBX_FEATURE_FILES_MAKE_DIR };
    sbx_config config;
    sbx_client *c = NULL;
    unsigned f, i, n = 0;
    memset(&config, 0, sizeof config);
    config.provider = &sbx_e2b;
    config.api_key = "e2b_0";
    config.environment = SBX_NO;
    CHECK_INT(sbx_open(&c, &config), SBX_OK);
    if (!c) return;
    for (f = 0; f < SBX_FEATURE_END_; f++) n += sbx_supports(c, (sbx_feature)f);
    CHECK_INT(n, SBXI_LEN(left));
    for (i = 0; i < SBXI_LEN(left); i++) CHECK(sbx_supports(c, left[i]));
    sbx_close(c);
}
