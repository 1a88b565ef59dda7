/* handle - making and letting go of the handle of a sandbox. Called by reply.c,
   op.c, the providers and api/. */

static sbx_sandbox *sbxi_sandbox_new(sbx_client *c, const char *id)
{
    size_t len = strlen(id), size;
    sbx_sandbox *s;
    if (!sbxi_size_add(&size, sizeof *s, len)) return NULL;
    s = (sbx_sandbox *)sbxi_alloc_get(&c->link.alloc, size);
    if (!s) return NULL;
    s->client = c;
    s->refs = 1;
    s->size = size;
    memcpy(s->id, id, len + 1);
    return s;
}

static void sbxi_sandbox_unref(sbx_sandbox *s)
{
    if (s && --s->refs == 0) {
        sbx_alloc alloc = s->client->link.alloc;
        sbx_free(s->block);
        sbx_free(s->given);
        sbxi_alloc_wipe(&alloc, s, s->size);
    }
}

/* A handle with the credentials that came with its id. NULL: no memory. */
static sbx_sandbox *sbxi_sandbox_with(sbx_client *c, const sbxi_access *access)
{
    sbx_sandbox *s = sbxi_sandbox_new(c, access->id);
    if (!s) return NULL;
    s->access = access->of;
    s->block = sbxi_keep(&c->link.alloc, SBXI_KEEP_ACCESS, &s->access, sizeof s->access);
    s->known = true;
    if (s->block) {
        memcpy(&s->access, s->block, sizeof s->access);
        return s;
    }
    sbxi_sandbox_unref(s);
    return NULL;
}
