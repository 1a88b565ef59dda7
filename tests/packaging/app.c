/* A program that uses a package of the library: it must see the switches with which
   the implementation was compiled (EXPECT_...), or the structs differ. */
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

#if defined(EXPECT_SMALL) && !(defined(SBX_SMALL) && defined(SBX_NO_POSIX))
#error "the switches of the library do not reach the program"
#endif
#if defined(EXPECT_NO_TLS) && !defined(SBX_NO_TLS)
#error "SBX_NO_TLS does not reach the program"
#endif

int main(void)
{
    sbx_client *client;
    sbx_error error;
    sbx_config config;
    memset(&config, 0, sizeof config);
    config.environment = SBX_NO;
    config.error = &error;
    if (sbx_open(&client, &config) >= 0) return 1;
    puts(sbx_version());
    return strcmp(sbx_version(), SBX_VERSION) != 0;
}
