/* hash - the name a context's files have in E2B's cache: SHA-256 over the COPY and what
   it takes. Equal to the official SDKs', so that caches are shared. Fed by
   pack/context, entry by entry in the order of whole paths. */

#ifndef SBX_NO_TEMPLATE

static void sbxi_hash_text(sbx_sha256 *h, const char *text)
{
    sbx_sha256_add(h, text, strlen(text));
}

static void sbxi_hash_number(sbx_sha256 *h, uint64_t v)
{
    char digits[SBXI_DECIMAL_MAX];
    sbx_sha256_add(h, digits, sbxi_print_u64(digits, v));
}

static SBXI_MAYBE void sbxi_hash_begin(sbx_sha256 *h, const char *src, const char *dest)
{
    sbx_sha256_init(h);
    sbxi_hash_text(h, "COPY ");
    sbxi_hash_text(h, src);
    sbxi_hash_text(h, " ");
    sbxi_hash_text(h, dest);
}

/* An entry ("" the root), with the target of a link that is kept as one. The content
   of a file follows. */
static SBXI_MAYBE void sbxi_hash_entry(sbx_sha256 *h, const char *path, const sbx_tree_entry *e,
    const char *target)
{
    /* The st_mode of every system there is; of pipes and sockets nothing is known. */
    static const uint32_t types[4] = { 0, 0100000, 0040000, 0120000 };
    sbxi_hash_text(h, *path ? path : ".");
    sbxi_hash_number(h, types[e->type] | e->mode);
    if (e->type != SBX_FILE_DIR) sbxi_hash_number(h, (uint64_t)e->size);
    if (e->type == SBX_FILE_SYMLINK) sbxi_hash_text(h, target);
}

/* 64 hex digits and a NUL. */
static SBXI_MAYBE void sbxi_hash_end(sbx_sha256 *h, char out[65])
{
    unsigned char sum[32];
    sbx_sha256_end(h, sum);
    *sbxi_print_hex(out, sum, sizeof sum) = 0;
}

#endif
