/* exchange - one HTTP request and its response over a pooled connection: open,
   proxy, TLS, send, receive, give back. The only code that meets "would block": it
   turns that into `want` and is run again. Called by op/; hands response bytes
   to the sbx_http_events it was given and knows nothing of their meaning.

   Invariants: what is being sent (stable, stable_len) stays put until all of it
   is gone, as TLS demands; a connection goes back to the pool only after a
   response that ended where it should, with nothing left over on either side. */

/* A connection. Its buffer stays with it while it is kept: a buffer that came
   and went would tear a small heap to pieces. */
typedef struct sbxi_conn {
    struct sbxi_conn *next;
    void *raw;              /* the transport's */
    sbxi_tls_conn *tls;     /* NULL: clear text, or TLS inside the transport */
    const sbxi_proxy *proxy; /* on the way, or NULL; one of the link's */
    char *io;               /* SBX_IO_BYTES */
    size_t size;            /* of this struct with the host name */
    uint16_t port;
    bool secure;
    char host[1];           /* NUL-terminated, allocated to its length */
} sbxi_conn;

/* What all exchanges of a client share. */
typedef struct sbxi_link {
    sbx_alloc alloc;
    sbx_net net;
    const sbx_tls *tls;
    const char *env_ca;
#ifndef SBX_NO_POSIX
    sbxi_posix posix;       /* context of the built-in transport */
#endif
#ifndef SBX_NO_PROXY
    sbxi_proxies proxies;
#endif
    sbxi_tls_trust *trust;  /* made at the first https connection */
    sbx_clocks clocks;
    uint32_t tick, ms;      /* the clock's last word, the time it stood for */
    sbxi_conn *idle;        /* most recently used first */
    unsigned idle_count;
} sbxi_link;

/* A body part that comes from a source, after the text before it. */
typedef struct sbxi_part {
    size_t text_end;        /* bytes of text that go before it */
    sbx_source source;
} sbxi_part;

typedef struct sbxi_outgoing {
    sbxi_buf text;          /* head, and all of the body that is not a part */
    sbxi_part *parts;
    size_t part_count;
    bool chunked;           /* one part of unknown size */
} sbxi_outgoing;

/* TUNNEL: the proxy is asked for a connection. Up to TLS the connect clock runs. */
enum { SBXI_X_IDLE, SBXI_X_OPEN, SBXI_X_TUNNEL, SBXI_X_TLS, SBXI_X_SEND, SBXI_X_RECV,
    SBXI_X_DONE };

#define SBXI_STAGES (SBX_UPLOAD_BYTES > SBX_IO_BYTES)

/* Small members first: they cost the shortest instructions on small CPUs. */
typedef struct sbxi_exchange {
    uint8_t state;
    bool reused;            /* the connection served before */
    bool sent;              /* a byte may have left */
    bool answered;          /* a byte came back */
    bool broken;            /* the connection cannot be kept */
    bool in_part;           /* part_left is set */
    bool dry;               /* the source has nothing now; the caller clears it */
    bool paused;            /* the reader waits to be fed again, if with nothing */
    bool stop;              /* a callback of the user ended it: its word is final */
    int want;               /* SBX_WANT_*, 0: waits for the caller (paused) */
    sbxi_link *link;
    sbxi_conn *conn;
    const sbxi_outgoing *out;
    const char *stable;     /* being sent */
    size_t stable_len;
    size_t text_pos, part;
    size_t rx_pos, rx_len;  /* received, not yet taken */
#if SBXI_STAGES
    char *stage;            /* SBX_UPLOAD_BYTES, or NULL: the connection's buffer serves */
#endif
    int64_t part_left;      /* of the source of a known size that is being sent */
    uint32_t now, since;    /* start of this run, of the clock that runs */
    int32_t quiet_ms;       /* instead of the clocks of a reply, 0: those */
#ifndef SBX_NO_PROXY
    const sbx_http_events *events; /* of http, which reads the proxy's answer first */
#endif
    void (*tap)(struct sbxi_exchange *x, const char *data, size_t len); /* or NULL */
    sbx_http_reader http;
} sbxi_exchange;

/* ---- connections ---------------------------------------------------------- */

static void sbxi_conn_close(const sbxi_link *link, sbxi_conn *c)
{
    if (c->tls) sbxi_tls_end(c->tls);
    if (c->raw) link->net.close(link->net.ctx, c->raw);
    sbxi_alloc_wipe(&link->alloc, c->io, SBX_IO_BYTES);
    sbxi_alloc_free(&link->alloc, c, c->size);
}

/* At most cap bytes into the buffer of the connection. */
static int sbxi_conn_recv(const sbxi_link *link, sbxi_conn *c, size_t cap, size_t *got, int *want)
{
    *want = SBX_WANT_READ;
    *got = 0;
    if (c->tls) return sbxi_tls_recv(c->tls, c->io, cap, got, want);
    return link->net.recv(link->net.ctx, c->raw, c->io, cap, got);
}

/* Whether a wait is better than another recv: what the socket held is taken, and poll()
   tells of more, of its end too. Other transports may hold bytes. */
static bool sbxi_conn_is_dry(const sbxi_link *link, const sbxi_conn *c, size_t got, size_t cap)
{
#ifndef SBX_NO_POSIX
    return got < cap && !c->tls && link->net.recv == sbxi_posix_recv;
#else
    (void)link;
    (void)c;
    (void)got;
    (void)cap;
    return false;
#endif
}

/* Bytes that no wait would tell of: TLS has taken them from the socket already. */
static bool sbxi_conn_holds(const sbxi_conn *c)
{
    return c->tls && sbxi_tls_pending(c->tls) > 0;
}

/* A kept connection that has something to say before it was asked is dead. */
static bool sbxi_conn_alive(const sbxi_link *link, sbxi_conn *c)
{
    size_t got;
    int want;
    return sbxi_conn_recv(link, c, 1, &got, &want) == SBX_E_AGAIN;
}

/* The proxy to this URL, or NULL. */
static const sbxi_proxy *sbxi_link_proxy(const sbxi_link *link, const sbxi_url *url)
{
#ifdef SBX_NO_PROXY
    (void)link;
    return sbxi_proxy_for(NULL, url);
#else
    return sbxi_proxy_for(&link->proxies, url);
#endif
}

/* A link has one set of credentials, of trust and of proxies, so what is left to
   tell kept connections apart is where they lead and by which proxy. */
static sbxi_conn *sbxi_link_take(sbxi_link *link, const sbxi_url *url, const sbxi_proxy *proxy)
{
    sbxi_conn **at = &link->idle;
    while (*at) {
        sbxi_conn *c = *at;
        if (c->port != url->port || c->secure != url->tls || c->proxy != proxy
            || !sbxi_span_is(url->host, c->host)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        link->idle_count--;
        if (sbxi_conn_alive(link, c)) return c;
        sbxi_conn_close(link, c);
    }
    return NULL;
}

/* Keeps a connection for later, dropping the longest unused beyond the limit. */
static void sbxi_link_give(sbxi_link *link, sbxi_conn *c)
{
    sbxi_wipe(c->io, SBX_IO_BYTES);
    c->next = link->idle;
    link->idle = c;
    if (++link->idle_count > SBX_MAX_CONNS) {
        sbxi_conn **at = &link->idle;
        while ((*at)->next) at = &(*at)->next;
        sbxi_conn_close(link, *at);
        *at = NULL;
        link->idle_count--;
    }
}

static sbxi_conn *sbxi_conn_new(const sbxi_link *link, const sbxi_url *url,
                                const sbxi_proxy *proxy)
{
    size_t size;
    sbxi_conn *c;
    if (!sbxi_size_add(&size, sizeof *c, url->host.len)) return NULL;
    c = (sbxi_conn *)sbxi_alloc_get(&link->alloc, size);
    if (!c) return NULL;
    c->size = size;
    c->port = url->port;
    c->secure = url->tls;
    c->proxy = proxy;
    memcpy(c->host, url->host.ptr, url->host.len);
    c->io = (char *)sbxi_alloc_get(&link->alloc, SBX_IO_BYTES);
    if (c->io) return c;
    sbxi_conn_close(link, c);
    return NULL;
}

static void sbxi_link_drop_idle(sbxi_link *link)
{
    while (link->idle) {
        sbxi_conn *c = link->idle;
        link->idle = c->next;
        sbxi_conn_close(link, c);
    }
    link->idle_count = 0;
}

static void sbxi_link_close(sbxi_link *link)
{
    sbxi_link_drop_idle(link);
    if (link->trust) sbxi_tls_trust_close(link->trust);
    link->trust = NULL;
}

/* ---- time -----------------------------------------------------------------
   In ms and wrapping, so only differences count. A clock that jumps back stands
   still for that moment: no deadline moves away with it. */

static uint32_t sbxi_now(const sbxi_link *link)
{
    uint32_t gone = (uint32_t)link->net.now_ms(link->net.ctx) - link->tick;
    return link->ms + (gone > INT32_MAX ? 0 : gone);
}

static void sbxi_tick(sbxi_link *link)
{
    uint32_t tick = (uint32_t)link->net.now_ms(link->net.ctx), gone = tick - link->tick;
    link->ms += gone > INT32_MAX ? 0 : gone;
    link->tick = tick;
}

/* What is left of `ms` (SBX_NEVER: no limit) that began at `since`; UINT32_MAX is
   for ever. A start that lies ahead has just begun. */
static uint32_t sbxi_left(uint32_t since, int32_t ms, uint32_t now)
{
    uint32_t gone = now - since;
    if (ms < 0) return UINT32_MAX;
    if (gone > INT32_MAX) gone = 0;
    return gone < (uint32_t)ms ? (uint32_t)ms - gone : 0;
}

/* ---- life of an exchange -------------------------------------------------- */

/* Clears it: a request in `out`, an http reader to be initialised. */
static void sbxi_exchange_init(sbxi_exchange *x, sbxi_link *link, const sbxi_outgoing *out)
{
    memset(x, 0, sizeof *x);
    x->link = link;
    x->out = out;
}

/* Begins: takes a kept connection unless `fresh`, or makes a new one. */
static int sbxi_exchange_start(sbxi_exchange *x, const sbxi_url *url, bool fresh)
{
    sbxi_link *link = x->link;
    const sbxi_proxy *proxy = sbxi_link_proxy(link, url);
    x->since = sbxi_now(link);
    if (!fresh) x->conn = sbxi_link_take(link, url, proxy);
    x->reused = x->conn != NULL;
    x->state = x->reused ? SBXI_X_SEND : SBXI_X_OPEN;
    if (!x->conn) x->conn = sbxi_conn_new(link, url, proxy);
    if (!x->conn && link->idle) { /* kept connections are a luxury */
        sbxi_link_drop_idle(link);
        x->conn = sbxi_conn_new(link, url, proxy);
    }
    return x->conn ? SBX_OK : SBX_E_NOMEM;
}

/* Ends it in any state; the connection is kept if it can be. */
static void sbxi_exchange_end(sbxi_exchange *x)
{
    sbxi_conn *c = x->conn;
#if SBXI_STAGES
    sbxi_alloc_wipe(&x->link->alloc, x->stage, SBX_UPLOAD_BYTES);
    x->stage = NULL;
#endif
    if (c) {
        bool keep = x->state == SBXI_X_DONE && !x->broken && x->rx_pos == x->rx_len
            && x->http.head_.keep_alive;
        if (keep)
            sbxi_link_give(x->link, c);
        else
            sbxi_conn_close(x->link, c);
    }
    x->conn = NULL;
    x->state = SBXI_X_IDLE;
}

/* The first https connection makes the trust. Sessions that are saved belong to the
   way they were made on, too: this proxy, these exceptions. */
static int sbxi_link_trust(sbxi_link *link, sbx_error *e)
{
    int rc;
    if (link->trust) return SBX_OK;
    rc = sbxi_tls_trust_open(&link->trust, &link->alloc, &link->net, link->tls, link->env_ca, e);
#ifndef SBX_NO_PROXY
    if (rc == SBX_OK && link->proxies.of[1].url) {
        const sbxi_proxy *p = &link->proxies.of[1];
        const char *none = link->proxies.none ? link->proxies.none : "";
        sbxi_tls_bind_to(link->trust, p->url, (size_t)(p->host - p->url) + strlen(p->host));
        sbxi_tls_bind_to(link->trust, &p->port, sizeof p->port);
        sbxi_tls_bind_to(link->trust, none, strlen(none));
    }
#endif
    return rc;
}

static SBXI_APART int sbxi_exchange_secure(sbxi_exchange *x, sbx_error *e)
{
    sbxi_conn *c = x->conn;
    int rc = c->tls ? SBX_OK : sbxi_link_trust(x->link, e);
    if (rc == SBX_OK && !c->tls)
        rc = sbxi_tls_start(&c->tls, x->link->trust, c->raw, c->host, c->port, e);
    if (rc == SBX_OK) rc = sbxi_tls_handshake(c->tls, &x->want, e);
    if (rc == SBX_OK) x->state = SBXI_X_SEND;
    return rc;
}

#ifndef SBX_NO_PROXY

/* Asks for a tunnel: the request lies in the connection's buffer, and the reader
   takes the answer for one to HEAD, as no body may follow it. */
static SBXI_APART int sbxi_exchange_ask(sbxi_exchange *x, sbx_error *e)
{
    static const sbx_http_events none = { NULL, NULL, NULL };
    sbxi_conn *c = x->conn;
    sbxi_buf b;
    sbxi_buf_init(&b, &x->link->alloc, SBX_IO_BYTES);
    b.data = c->io;
    b.cap = SBX_IO_BYTES; /* so it never grows */
    sbxi_proxy_connect(&b, c->proxy, c->host, c->port);
    x->stable = b.data;
    x->stable_len = b.len;
    if (x->tap) x->tap(x, b.data, b.len);
    x->events = x->http.events_;
    x->http.events_ = &none;
    x->http.flags_ = SBXI_HTTP_TO_HEAD;
    x->state = SBXI_X_TUNNEL;
    if (b.status == SBX_OK) return SBX_OK;
    return sbxi_error_set(e, b.status, SBXI_TEXT("host and credentials of the proxy do not fit "
                          "SBX_IO_BYTES"));
}

/* Sends the request, then reads the answer. The clock of the connection runs on:
   a proxy that answers byte by byte gains nothing. */
static int sbxi_exchange_tunnel(sbxi_exchange *x, sbx_error *e)
{
    sbxi_conn *c = x->conn;
    sbx_http_reader *r = &x->http;
    const sbx_net *n = &x->link->net;
    size_t got = 0, used;
    int rc;
    x->want = x->stable_len ? SBX_WANT_WRITE : SBX_WANT_READ;
    if (x->stable_len) {
        rc = n->send(n->ctx, c->raw, x->stable, x->stable_len, &got);
        x->stable += got;
        x->stable_len -= got;
        return rc;
    }
    rc = sbxi_conn_recv(x->link, c, SBX_IO_BYTES, &got, &x->want);
    if (rc != SBX_OK) return rc;
    if (!got)
        return sbxi_error_set(e, SBX_E_NETWORK,
            SBXI_TEXT("the proxy closed the connection instead of answering CONNECT"));
    rc = sbx_http_feed(r, c->io, got, &used);
    if (rc == SBX_PENDING) return SBX_OK;
    if (rc == SBX_OK && r->head_.status / 100 != 2) return sbxi_proxy_refused(r->head_.status, e);
    if (rc == SBX_OK && used < got) rc = SBX_E_PROTOCOL;
    if (rc != SBX_OK)
        return sbxi_error_set(e, rc, SBXI_TEXT("what the proxy answers to CONNECT is not HTTP, "
                              "or more than a head: is it an HTTP proxy?"));
    sbx_http_init(r, r->line_, r->line_cap_, false, x->events, r->ctx_);
    x->state = SBXI_X_TLS;
    return SBX_OK;
}

#endif

static int sbxi_exchange_open(sbxi_exchange *x, sbx_error *e)
{
    sbxi_link *link = x->link;
    sbxi_conn *c = x->conn;
    bool inside = (link->net.flags & SBX_NET_TLS_INSIDE) != 0;
    const char *host = c->host;
    uint16_t port = c->port;
    int rc;
    (void)e;
#ifndef SBX_NO_PROXY
    if (c->proxy) {
        host = c->proxy->host;
        port = c->proxy->port;
    }
#endif
    rc = link->net.open(link->net.ctx, &c->raw, host, port, c->secure && inside);
    if (rc == SBX_E_AGAIN) x->want = SBX_WANT_WRITE;
#ifndef SBX_NO_PROXY
    if (c->proxy && rc != SBX_OK && rc != SBX_E_AGAIN)
        sbxi_error_set(e, rc, SBXI_TEXT("the proxy (config.proxy, or the environment's) cannot be "
                       "reached: check its host and port"));
#endif
    if (rc != SBX_OK) return rc;
    x->state = SBXI_X_SEND;
    if (!c->secure || inside) return SBX_OK;
#ifndef SBX_NO_PROXY
    if (c->proxy) return sbxi_exchange_ask(x, e);
#endif
    x->state = SBXI_X_TLS;
    return SBX_OK;
}

/* ---- sending -------------------------------------------------------------- */

/* The reply may come while the request is still going out; the lower quarter of
   the buffer is kept for that, the rest stages what sources give. */
#define SBXI_EARLY_BYTES (SBX_IO_BYTES / 4)
#define SBXI_CHUNK_HEAD 10  /* eight hex digits, CR LF */

/* Puts a chunk's frame around the len bytes that stand at data. */
static void sbxi_exchange_chunk(sbxi_exchange *x, char *data, size_t len)
{
    size_t i;
    for (i = 0; i < 8; i++)
        data[(ptrdiff_t)i - SBXI_CHUNK_HEAD] =
            sbxi_hex[((uint32_t)len >> (28 - 4 * i)) & 15];
    memcpy(data - 2, "\r\n", 2);
    memcpy(data + len, "\r\n", 2);
    x->stable = data - SBXI_CHUNK_HEAD;
    x->stable_len = len + SBXI_CHUNK_HEAD + 2;
}

/* Its failure is the user's word: neither retried nor looked into. */
static int sbxi_source_get(sbxi_exchange *x, const sbx_source *s, void *buf, size_t cap,
                           size_t *got)
{
    int rc = s->get(s->ctx, buf, cap, got);
    if (x->stop) return SBX_E_CANCELLED;
    x->stop = rc != SBX_OK && rc != SBX_E_AGAIN;
    return rc > 0 ? SBX_E_SOURCE : rc;
}

/* A source that announced its size must end exactly there. */
static int sbxi_source_ended(sbxi_exchange *x, const sbx_source *source)
{
    char byte;
    size_t got = 0;
    int rc = sbxi_source_get(x, source, &byte, 1, &got);
    if (rc != SBX_OK && rc != SBX_E_AGAIN) return rc;
    return rc == SBX_OK && got ? SBX_E_SOURCE : SBX_OK;
}

/* Up to cap bytes of the present part, none beyond its size. */
static int sbxi_exchange_fill(sbxi_exchange *x, char *stage, size_t cap, size_t *got)
{
    const sbx_source *s = &x->out->parts[x->part].source;
    bool known = s->size >= 0;
    int rc = SBX_OK;
    if (!x->in_part) x->part_left = s->size;
    x->in_part = true;
    if (known && (int64_t)cap > x->part_left) cap = (size_t)x->part_left;
    if (cap) rc = sbxi_source_get(x, s, stage, cap, got);
    if (rc != SBX_OK) return rc;
    if (*got > cap || (known && *got == 0 && cap)) return SBX_E_SOURCE;
    x->part_left -= (int64_t)*got;
    return known && x->part_left == 0 ? sbxi_source_ended(x, s) : SBX_OK;
}

/* Where the bytes of the present part are staged. A large one gets a buffer of its own
   until the exchange ends, if there is memory: fewer calls, larger packets and records. */
static char *sbxi_exchange_stage(sbxi_exchange *x, size_t *cap)
{
#if SBXI_STAGES
    const sbx_alloc *a = &x->link->alloc;
    if (!x->stage && !x->in_part && x->out->parts[x->part].source.size >= SBX_UPLOAD_BYTES)
        x->stage = (char *)a->resize(a->ctx, NULL, 0, SBX_UPLOAD_BYTES);
    *cap = SBX_UPLOAD_BYTES;
    if (x->stage) return x->stage;
#endif
    *cap = SBX_IO_BYTES - SBXI_EARLY_BYTES;
    return x->conn->io + SBXI_EARLY_BYTES;
}

/* Takes the next bytes of the present part into the staging area. */
static int sbxi_exchange_pull(sbxi_exchange *x)
{
    size_t got = 0, cap;
    char *stage = sbxi_exchange_stage(x, &cap) + SBXI_CHUNK_HEAD;
    int rc = sbxi_exchange_fill(x, stage, cap - SBXI_CHUNK_HEAD - 2, &got);
    if (rc != SBX_OK) return rc;
    if (got == 0 || x->part_left == 0) {
        x->part++;
        x->in_part = false;
    }
    x->stable = stage;
    x->stable_len = got;
    if (x->tap) x->tap(x, stage, got);
    if (x->out->chunked) sbxi_exchange_chunk(x, stage, got); /* an empty one is the last */
    return SBX_OK;
}

/* Finds what goes out next; stable_len stays 0 when all is sent. */
static int sbxi_exchange_next(sbxi_exchange *x)
{
    const sbxi_outgoing *o = x->out;
    while (!x->stable_len) {
        size_t end = x->part < o->part_count ? o->parts[x->part].text_end : o->text.len;
        int rc;
        if (x->text_pos < end) {
            x->stable = o->text.data + x->text_pos;
            x->stable_len = end - x->text_pos;
            x->text_pos = end;
            if (x->tap) x->tap(x, x->stable, x->stable_len);
        } else if (x->part < o->part_count) {
            rc = sbxi_exchange_pull(x);
            if (rc != SBX_OK) return rc;
        } else {
            break;
        }
    }
    return SBX_OK;
}

/* Feeds what was received. SBX_OK: response complete; SBX_PENDING: go on. */
static int sbxi_exchange_feed(sbxi_exchange *x)
{
    size_t used = 0;
    int rc = sbx_http_feed(&x->http, x->conn->io + x->rx_pos, x->rx_len - x->rx_pos, &used);
    x->rx_pos += used;
    x->paused = rc == SBX_E_AGAIN;
    if (x->paused) x->want = 0;
    return rc;
}

/* Receives into the connection's buffer, whose bytes are all taken. */
static int sbxi_exchange_read(sbxi_exchange *x, size_t cap)
{
    size_t got;
    int rc = sbxi_conn_recv(x->link, x->conn, cap, &got, &x->want);
    if (rc != SBX_OK) return rc;
    if (got) x->answered = true;
    x->since = x->now;
    x->rx_pos = 0;
    x->rx_len = got;
    return SBX_OK;
}

/* Sending stalls, or the source sleeps: has the peer answered already, or gone? A final answer ends
   the sending, and the connection is of no use afterwards. */
static int sbxi_exchange_early(sbxi_exchange *x)
{
    int want = x->want | SBX_WANT_READ, rc = sbxi_exchange_read(x, SBXI_EARLY_BYTES);
    x->want = want;
    if (rc == SBX_E_AGAIN) return rc;
    if (rc == SBX_E_TLS) return rc;
    if (rc != SBX_OK || !x->rx_len) return SBX_E_NETWORK;
    rc = sbxi_exchange_feed(x);
    if (rc == SBX_PENDING && x->http.state_ <= SBXI_HTTP_HEADER) /* interim: go on sending */
        return sbxi_conn_holds(x->conn) ? SBX_OK : SBX_E_AGAIN;
    x->dry = false;
    x->broken = true;
    x->state = rc == SBX_OK ? SBXI_X_DONE : SBXI_X_RECV;
    return rc == SBX_PENDING ? SBX_OK : rc;
}

static int sbxi_conn_send(sbxi_exchange *x, size_t *sent)
{
    const sbx_net *n = &x->link->net;
    sbxi_conn *c = x->conn;
    x->want = SBX_WANT_WRITE;
    *sent = 0;
    if (c->tls) return sbxi_tls_send(c->tls, x->stable, x->stable_len, sent, &x->want);
    return n->send(n->ctx, c->raw, x->stable, x->stable_len, sent);
}

static int sbxi_exchange_send(sbxi_exchange *x)
{
    for (;;) {
        size_t n;
        int rc = x->dry ? SBX_E_AGAIN : sbxi_exchange_next(x);
        x->dry = rc == SBX_E_AGAIN;
        if (x->dry) {
            x->want = 0;
            return sbxi_exchange_early(x);
        }
        if (rc != SBX_OK) return rc;
        if (!x->stable_len) break;
        rc = sbxi_conn_send(x, &n);
        if (rc == SBX_E_AGAIN) return sbxi_exchange_early(x);
        x->sent = true;
        if (rc != SBX_OK) { /* refused while sending: the reason may be waiting */
            x->broken = true;
            break;
        }
        x->since = x->now;
        x->stable += n;
        x->stable_len -= n;
    }
    x->since = x->now;
    x->state = SBXI_X_RECV;
    x->want = SBX_WANT_READ;
    return x->broken ? SBX_OK : SBX_E_AGAIN; /* no reply can be there yet */
}

/* ---- receiving ------------------------------------------------------------ */

#define SBXI_READS_A_RUN SBX_LIMIT_(32, 2) /* then others get their turn, watchdogs too */

static int sbxi_exchange_recv(sbxi_exchange *x)
{
    unsigned i;
    bool dry = false;
    for (i = 0;; i++) {
        int rc = SBX_PENDING;
        if (x->rx_pos < x->rx_len || x->paused) rc = sbxi_exchange_feed(x);
        if (rc != SBX_PENDING) return rc;
        /* only here: with nothing held that no socket would tell of */
        if (dry || (i >= SBXI_READS_A_RUN && !sbxi_conn_holds(x->conn))) break;
        rc = sbxi_exchange_read(x, SBX_IO_BYTES);
        if (rc != SBX_OK) return rc;
        if (!x->rx_len) return sbx_http_end(&x->http);
        dry = sbxi_conn_is_dry(x->link, x->conn, x->rx_len, SBX_IO_BYTES);
    }
    x->want = SBX_WANT_READ;
    return SBX_E_AGAIN;
}

/* How long the clock that runs still has, and which one it is. */
static uint32_t sbxi_exchange_left(const sbxi_exchange *x, uint32_t now, sbx_clock *clock)
{
    const sbx_clocks *c = &x->link->clocks;
    int32_t ms = c->idle_ms;
    *clock = SBX_CLOCK_IDLE;
    if (x->state <= SBXI_X_TLS) {
        *clock = SBX_CLOCK_CONNECT;
        ms = c->connect_ms;
    } else if (x->state == SBXI_X_RECV) {
        if (!x->answered) {
            *clock = SBX_CLOCK_FIRST_BYTE;
            ms = c->first_byte_ms;
        }
        if (x->quiet_ms) ms = x->quiet_ms;
    }
    return sbxi_left(x->since, x->want && !x->dry ? ms : SBX_NEVER, now);
}

/* The state machine: runs until done (SBX_OK), blocked (SBX_E_AGAIN, see want), or failed. */
static int sbxi_exchange_run(sbxi_exchange *x, uint32_t now, sbx_error *e)
{
    int rc = SBX_OK;
    x->now = now;
    while (rc == SBX_OK && x->state != SBXI_X_DONE) {
        uint8_t state = x->state;
        switch (state) {
        case SBXI_X_OPEN:
            rc = sbxi_exchange_open(x, e);
            break;
#ifndef SBX_NO_PROXY
        case SBXI_X_TUNNEL:
            rc = sbxi_exchange_tunnel(x, e);
            break;
#endif
        case SBXI_X_TLS:
            rc = sbxi_exchange_secure(x, e);
            break;
        case SBXI_X_SEND:
            rc = sbxi_exchange_send(x);
            break;
        default:
            rc = sbxi_exchange_recv(x);
            if (rc == SBX_OK) x->state = SBXI_X_DONE;
        }
        if (state < SBXI_X_SEND && x->state == SBXI_X_SEND) x->since = now;
    }
    if (rc == SBX_E_AGAIN && !sbxi_exchange_left(x, now, &e->clock)) return SBX_E_TIMEOUT;
    if (rc == SBX_E_AGAIN) e->clock = SBX_CLOCK_NONE;
    if ((rc == SBX_E_TLS || rc == SBX_E_NETWORK) && x->state >= SBXI_X_SEND && x->conn->tls)
        rc = sbxi_tls_why(x->conn->tls, rc, e);
    return rc;
}
