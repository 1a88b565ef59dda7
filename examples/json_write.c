/* json_write - JSON into a sink, piece by piece: commas, quotes and escapes are the
   writer's work, nothing is built up in memory. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "sandbox.h"
#include <stdio.h>

int main(void)
{
    static const unsigned char reading[] = { 0, 1, 2, 253, 254, 255 };
    static const int32_t series[] = { 21, -4, 0 };
    sbx_json_writer w;
    size_t i;
    sbx_json_writer_init(&w, sbx_sink_file(stdout)); /* or a socket, or memory */
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "sensor");
    sbx_json_text(&w, "roof \"north\"\n");
    sbx_json_key(&w, "ok");
    sbx_json_bool(&w, true);
    sbx_json_key(&w, "uptime_ms");
    sbx_json_int(&w, INT64_C(9007199254740993)); /* more than a double can say */
    sbx_json_key(&w, "raw");
    sbx_json_base64(&w, reading, sizeof reading);
    sbx_json_key(&w, "series");
    sbx_json_begin_array(&w);
    for (i = 0; i < sizeof series / sizeof *series; i++) sbx_json_int(&w, series[i]);
    sbx_json_end_array(&w);
    sbx_json_key(&w, "limits");
    sbx_json_raw(&w, "{\"max\":1.5}", 11); /* JSON from elsewhere, as it is */
    sbx_json_key(&w, "error");
    sbx_json_null(&w);
    sbx_json_end_object(&w);
    printf("\n");

    /* The first error sticks, so it is enough to look once, at the end. */
    if (w.status != SBX_OK) fprintf(stderr, "%s\n", sbx_strerror(w.status));
    sbx_json_writer_init(&w, sbx_sink_file(stdout));
    sbx_json_text(&w, "not UTF-8: \xff");
    printf("\n%s\n", sbx_status_name(w.status));
    return 0;
}
