/* proxy - the way through an HTTP proxy: which one there is, whether a host is
   reached by it, and what it is told. Texts only: the exchange does the talking.
   Called by client.c to set up, by request.c and the exchange.

   Invariants: a proxy's url is the client's own copy and is taken apart in place,
   so its secrets lie in one block, which is wiped with the client; a list of
   exceptions never makes a host go through a proxy that would not without it. */

typedef struct sbxi_proxy {
    const char *url;        /* NULL: none. Later begins with the decoded user:password */
    const char *host;       /* in url, NUL-terminated, without brackets */
    size_t user_len;        /* 0: no user */
    uint16_t port;
} sbxi_proxy;

typedef struct sbxi_proxies {
    sbxi_proxy of[2];       /* for http, for https */
    const char *none;       /* hosts that are reached without, or NULL */
} sbxi_proxies;

#ifdef SBX_NO_PROXY

static const sbxi_proxy *sbxi_proxy_for(const sbxi_proxies *all, const sbxi_url *url)
{
    (void)all;
    (void)url;
    return NULL;
}

#else

/* Decodes user[:password] to the beginning of the url. A colon in the name cannot
   be said in Basic authentication, control characters may not be. */
static bool sbxi_proxy_user(sbxi_proxy *p, char *out, const char *s, const char *end)
{
    bool colon = false;
    char *to = out;
    while (s < end) {
        char c = *s++;
        bool plain = c != '%';
        if (!plain) {
            int high = sbxi_hex_value(s[0]), low = high < 0 ? -1 : sbxi_hex_value(s[1]);
            if (low < 0) return false;
            c = (char)(high << 4 | low);
            s += 2;
        }
        if (c == ':' && !colon && !plain) return false;
        if (!sbxi_is_text(c)) return false;
        colon = colon || c == ':';
        *to++ = c;
    }
    if (!colon) *to++ = ':'; /* at worst over the '@' */
    p->user_len = (size_t)(to - out);
    return true;
}

/* Takes [http://][user[:password]@]host[:port][/] apart. False: it is not that. */
static bool sbxi_proxy_set(sbxi_proxy *p)
{
    char *url = (char *)(uintptr_t)p->url, *from = url, *end, *at; /* our own copy */
    sbxi_url u;
    sbxi_span s;
    if (strncmp(url, "http://", 7) == 0) from += 7;
    end = from + strcspn(from, "/");
    if (*end && end[1]) return false; /* another scheme, or a path */
    *end = 0;
    at = strrchr(from, '@');
    if (at && !sbxi_proxy_user(p, url, from, at)) return false;
    s = sbxi_span_of(at ? at + 1 : from);
    u.port = 80;
    if (!sbxi_url_authority(s, &u)) return false;
    p->port = u.port;
    p->host = u.host.ptr;
    url[u.host.ptr - url + (ptrdiff_t)u.host.len] = 0;
    return true;
}

/* One entry of the list: "*", a name with all below it, an address; each may have a
   port, then it is only that one. A leading dot changes nothing. */
static bool sbxi_proxy_spares(sbxi_span entry, const sbxi_url *url)
{
    sbxi_url u;
    if (sbxi_span_is(entry, "*")) return true;
    if (*entry.ptr == '.') {
        entry.ptr++;
        entry.len--;
    }
    u.port = url->port;
    if (!sbxi_url_authority(entry, &u)) u.host = entry; /* IPv6 without brackets */
    if (u.port != url->port || !u.host.len || !sbxi_ends_nocase(url->host, u.host)) return false;
    return url->host.len == u.host.len || url->host.ptr[url->host.len - u.host.len - 1] == '.';
}

/* The proxy to this URL; NULL: straight there. */
static const sbxi_proxy *sbxi_proxy_for(const sbxi_proxies *all, const sbxi_url *url)
{
    const sbxi_proxy *p = &all->of[url->tls];
    const char *at = all->none;
    if (!p->url) return NULL;
    while (at && *at) {
        sbxi_span entry = { at, strcspn(at, ", \t") };
        if (entry.len && sbxi_proxy_spares(entry, url)) return NULL;
        at += entry.len + (at[entry.len] != 0);
    }
    return p;
}

/* The header line with who we are, if the proxy's URL says it. */
static void sbxi_proxy_auth(sbxi_buf *b, const sbxi_proxy *p)
{
    if (!p->user_len) return;
    sbxi_buf_text(b, "Proxy-Authorization: ");
    sbxi_basic(b, p->url, p->user_len);
}

/* The request for a tunnel to a host. The buffer is empty and does not move. */
static void sbxi_proxy_connect(sbxi_buf *b, const sbxi_proxy *p, const char *host, uint16_t port)
{
    bool ip6 = strchr(host, ':') != NULL;
    size_t len;
    sbxi_buf_text(b, ip6 ? "CONNECT [" : "CONNECT ");
    sbxi_buf_text(b, host);
    sbxi_buf_text(b, ip6 ? "]:" : ":");
    sbxi_buf_u64(b, port);
    len = b->len - (sizeof "CONNECT " - 1);
    sbxi_buf_text(b, " HTTP/1.1\r\nHost: ");
    sbxi_buf_add(b, b->data + sizeof "CONNECT " - 1, len); /* the same again */
    sbxi_buf_text(b, "\r\nUser-Agent: sandbox.h/" SBX_VERSION "\r\n");
    sbxi_proxy_auth(b, p);
    sbxi_buf_text(b, "\r\n");
}

/* What it means that the proxy answered with this status instead of a tunnel. */
static int sbxi_proxy_refused(int http, sbx_error *e)
{
    e->http_status = http;
    if (http == 407)
        return sbxi_error_set(e, SBX_E_AUTH, SBXI_TEXT("the proxy wants other credentials: "
            "give http://user:password@host:port as config.proxy or in the environment"));
    if (http >= 500)
        return sbxi_error_set(e, SBX_E_CONNECT,
            SBXI_TEXT("the proxy cannot connect to the host: is its name right, is it up?"));
    return sbxi_error_set(e, SBX_E_DENIED,
        SBXI_TEXT("the proxy refuses to connect to the host: it must allow it, or no_proxy"));
}

#endif
