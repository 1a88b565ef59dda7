/* handle - making and letting go of the handle of a sandbox. Called by reply.c,
   op.c, the providers and api/. */

/* One with room for an id of so many bytes. */
static sbx_sandbox *sbxi_sandbox_room(sbx_client *c, size_t len)
{
    size_t size;
    sbx_sandbox *s;
    if (!sbxi_size_add(&size, sizeof *s, len)) return NULL;
    s = (sbx_sandbox *)sbxi_alloc_get(&c->link.alloc, size);
    if (!s) return NULL;
    s->client = c;
    s->refs = 1;
    s->size = size;
    return s;
}

static sbx_sandbox *sbxi_sandbox_new(sbx_client *c, const char *id)
{
    size_t len = strlen(id);
    sbx_sandbox *s = sbxi_sandbox_room(c, len);
    if (s) memcpy(s->id, id, len + 1);
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

#define SBXI_ID_ROOM SBX_LIMIT_(64, 32)
#define SBXI_MADE_ROOM SBX_LIMIT_(480, 256)

/* Before a create is sent: memory for its reply and the handle, so that what it makes
   is not lost for want of it. */
static bool sbxi_sandbox_reserve(sbx_op *op)
{
    if (!op->spare) op->spare = sbxi_sandbox_room(op->client, SBXI_ID_ROOM);
    sbxi_buf_clear(&op->block);
    return op->spare && sbxi_buf_reserve(&op->block, SBXI_MADE_ROOM) == SBX_OK;
}

/* The handle of what was made, the operation's. */
static SBXI_MAYBE int sbxi_sandbox_made(sbx_op *op, const char *id)
{
    size_t len = strlen(id);
    if (len > SBXI_ID_ROOM) {
        op->sandbox = sbxi_sandbox_new(op->client, id);
        return op->sandbox ? SBX_OK : SBX_E_NOMEM;
    }
    op->sandbox = op->spare;
    op->spare = NULL;
    memcpy(op->sandbox->id, id, len + 1);
    return SBX_OK;
}

#ifndef SBX_NO_EXTRAS
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
#endif
