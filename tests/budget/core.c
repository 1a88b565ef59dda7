/* The HTTP + JSON core by itself, as a firmware would use it: a request head and
   a JSON body written to a buffer, a response and its JSON read. CORE_BOUND adds
   Connect envelopes, base64 and the binding of structs. What is reached from
   core_use() is the core; functions named core_* do not count. It is
   compiled from its own modules: linkers keep all texts of a file or none, and
   those of sbx_strerror() are not part of it. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox_impl/public.h"
#include "sandbox_impl/base/base.c"
#include "sandbox_impl/base/alloc.c"
#include "sandbox_impl/base/buf.c"
#include "sandbox_impl/codec/base64.c"
#include "sandbox_impl/codec/percent.c"
#include "sandbox_impl/codec/time.c"
#include "sandbox_impl/json/read.c"
#include "sandbox_impl/json/write.c"
#include "sandbox_impl/http/response.c"
#ifdef CORE_BOUND
#include "sandbox_impl/json/bind.c"
#include "sandbox_impl/frame/connect.c"
#endif

int core_use(sbxi_buf *out, const char *url, const char *segment, const char *data, size_t len);

#ifdef CORE_BOUND
extern const sbxi_shape core_shape[1];
#endif

static int core_event(void *ctx, const sbx_json_event *event)
{
    (void)ctx;
    return (int)event->type;
}

static int core_body(void *ctx, const char *data, size_t len, size_t *used)
{
    *used = len;
    return sbx_json_feed((sbx_json_reader *)ctx, data, len, NULL);
}

/* As the client's own, which stands above this layer. */
static int request_header(sbxi_buf *b, const char *name, const char *value)
{
    if (!sbxi_is_token(sbxi_span_of(name)) || !sbxi_is_field_value(sbxi_span_of(value)))
        return b->status = SBX_E_ARG;
    sbxi_buf_text(b, name);
    sbxi_buf_text(b, ": ");
    sbxi_buf_text(b, value);
    return sbxi_buf_text(b, "\r\n");
}

static int core_request(sbxi_buf *out, const char *url, const char *segment)
{
    sbx_json_writer w;
    sbx_sink sink;
    sbxi_url at;
    sink.put = sbxi_buf_put;
    sink.ctx = out;
    if (!sbxi_url_split(sbxi_span_of(url), &at)) return SBX_E_ARG;
    sbxi_buf_text(out, "POST ");
    sbxi_buf_add(out, at.path.ptr, at.path.len);
    sbxi_percent(out, sbxi_span_of(segment), SBXI_PERCENT_SEGMENT);
    sbxi_buf_text(out, " HTTP/1.1\r\n");
    request_header(out, "Host", segment);
    sbxi_buf_u64(out, at.port);
    sbx_json_writer_init(&w, sink);
    sbx_json_begin_object(&w);
    sbx_json_key(&w, segment);
    sbx_json_begin_array(&w);
    sbx_json_text(&w, segment);
    sbx_json_int(&w, at.port);
    sbx_json_bool(&w, at.tls);
    sbx_json_null(&w);
    sbx_json_end_array(&w);
    sbx_json_end_object(&w);
    return w.status;
}

static int core_reply(char *line, const char *data, size_t len)
{
    static const sbx_http_events events = { NULL, NULL, core_body };
    sbx_json_reader json;
    sbx_http_reader http;
    size_t used;
    sbx_json_init(&json, core_event, NULL);
    sbx_http_init(&http, line, SBX_MAX_LINE, false, &events, &json);
    if (sbx_http_feed(&http, data, len, &used) != SBX_OK) return sbx_http_end(&http);
    return sbx_json_end(&json);
}

#ifdef CORE_BOUND
static const sbxi_connect_events core_frames;

static int core_bound(sbxi_buf *out, const sbxi_shape *shape, const char *data, size_t len)
{
    sbx_json_writer w;
    sbx_sink sink;
    sbx_json_reader json;
    sbxi_bind bind;
    sbxi_connect frame;
    sbx_base64 base64;
    size_t n;
    unsigned char head[5];
    sink.put = sbxi_buf_put;
    sink.ctx = out;
    sbxi_bind_init(&bind, shape, out, NULL);
    sbx_json_init(&json, sbxi_bind_event, &bind);
    sbx_json_feed(&json, data, len, NULL);
    sbxi_bind_result(&bind);
    memset(&base64, 0, sizeof base64);
    sbx_base64_decode(&base64, data, len, out->data, &n);
    sbx_json_writer_init(&w, sink);
    sbxi_bind_write(&w, shape, out->data);
    sbx_json_base64(&w, data, len);
    sbxi_connect_init(&frame, &core_frames, out);
    sbxi_connect_feed(&frame, data, len, &n);
    sbxi_connect_head(head, 0, (uint32_t)len);
    sbxi_buf_add(out, head, sizeof head);
    return sbx_base64_end(&base64);
}
#endif

int core_use(sbxi_buf *out, const char *url, const char *segment, const char *data, size_t len)
{
    char line[SBX_MAX_LINE];
    int rc = core_request(out, url, segment);
    if (rc == SBX_OK) rc = core_reply(line, data, len);
#ifdef CORE_BOUND
    if (rc == SBX_OK) rc = core_bound(out, core_shape, data, len);
#endif
    return rc;
}
