// A C++ program on the C implementation (impl.c): the public half from C++11.
#include "sandbox.h"
#include <cstdio>
#include <cstring>
#include <string>

static int failed = 0;

static void check(bool ok, const char *what)
{
    if (ok) return;
    failed = 1;
    std::printf("use.cpp: %s\n", what);
}

static int collect(void *ctx, const sbx_json_event *event)
{
    if (event->type == SBX_JSON_STRING)
        static_cast<std::string *>(ctx)->append(event->text, event->len);
    return SBX_OK;
}

int main()
{
    check(std::strcmp(sbx_version(), SBX_VERSION) == 0, "sbx_version");
    check(std::strcmp(sbx_status_name(SBX_E_TIMEOUT), "SBX_E_TIMEOUT") == 0, "status name");

    const char *text = "{\"a\": [\"one\", \"\\u00e4\"]}";
    std::string got;
    sbx_json_reader reader;
    sbx_json_init(&reader, collect, &got);
    for (const char *p = text; *p; p++)
        check(sbx_json_feed(&reader, p, 1, nullptr) == SBX_OK, "json feed");
    check(sbx_json_end(&reader) == SBX_OK && got == "one\xc3\xa4", "json strings");

    char room[64];
    sbx_memory memory = sbx_memory();
    memory.data = room;
    memory.cap = sizeof room;
    sbx_json_writer writer;
    sbx_json_writer_init(&writer, sbx_sink_memory(&memory));
    sbx_json_begin_array(&writer);
    sbx_json_int(&writer, -5);
    sbx_json_text(&writer, "x");
    sbx_json_end_array(&writer);
    check(writer.status == SBX_OK && std::string(room, memory.len) == "[-5,\"x\"]", "json writer");

    sbx_client *client = nullptr;
    sbx_config config = sbx_config();
    config.api_key = "e2b_0000000000000000000000000000000000000000";
    config.provider = &sbx_e2b;
    config.environment = SBX_NO;
    check(sbx_open(&client, &config) == SBX_OK, "sbx_open");
    if (client) check(sbx_supports(client, SBX_FEATURE_COMMAND_RUN), "sbx_supports");
    check(sbx_close(client) == SBX_OK, "sbx_close");
    return failed;
}
