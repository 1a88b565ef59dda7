// As a sketch includes it; what it gets are the switches of the library.
#include <sandbox_arduino.h>
#include <cstdio>

#if !defined(SBX_SMALL) || !defined(SBX_NO_POSIX) || !defined(SBX_NO_TLS)
#error "the switches of the library do not reach the sketch"
#endif

int main()
{
    sbx_client *client;
    sbx_config config = sbx_config();
    config.environment = SBX_NO;
    if (sbx_open(&client, &config) == SBX_OK) return 1;
    std::puts(sbx_version());
    return 0;
}
