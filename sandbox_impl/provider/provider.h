/* provider - what provider files share: comparing daemon versions, composing
   texts, common header forms. A provider file is tables first, then the few
   functions that no table can say; providers never call each other. */

/* Rows of field tables: a member of a struct; an object inside; a member of the
   arguments; a text of fixed size. */
#define SBXI_FIELD(name, type, struct_, member) \
    { name, NULL, (uint16_t)offsetof(struct_, member), 0, SBXI_T_##type }
#define SBXI_SUB(name, type, shape) { name, &shape, 0, 0, SBXI_T_##type }
#define SBXI_IN(name, type, member) { name, NULL, SBXI_ARG(member), 0, SBXI_T_##type }
#define SBXI_FIXED(name, struct_, member) \
    { name, NULL, (uint16_t)offsetof(struct_, member), \
      (uint8_t)sizeof(((struct_ *)0)->member), SBXI_T_TEXT }

/* "1.22.3" as 1 << 20 | 22 << 10 | 3; what is not said or no number is 0. */
static uint32_t sbxi_version(const char *text)
{
    uint32_t v = 0;
    unsigned i;
    for (i = 0; i < 3; i++) {
        uint32_t part = 0;
        for (; sbxi_is_digit(*text); text++)
            part = SBXI_MIN(part * 10 + (uint32_t)(*text - '0'), 1023);
        v = v << 10 | part;
        if (*text == '.') text++;
    }
    return v;
}

#define SBXI_VERSION(major, minor, patch) \
    ((uint32_t)(major) << 20 | (uint32_t)(minor) << 10 | (uint32_t)(patch))

/* An unknown version counts as new: only a host that says so is old. */
static SBXI_MAYBE bool sbxi_older(const sbx_sandbox *s, uint32_t version)
{
    const char *v = s ? s->access.daemon_version : NULL;
    return v && v[0] && sbxi_version(v) < version;
}

/* Fails the step for want of a daemon of this version, of three digits. */
static SBXI_MAYBE int sbxi_too_old(sbx_op *op, uint32_t version)
{
#ifdef SBX_NO_ERROR_TEXT
    (void)version;
#else
    char text[] = "the daemon is older than 0.0.0: build the template again";
    text[25] = (char)('0' + (version >> 20));
    text[27] = (char)('0' + (version >> 10 & 15));
    text[29] = (char)('0' + (version & 15));
    sbxi_put_text(op->error.message, sizeof op->error.message, text, sizeof text - 1);
#endif
    return sbxi_error_set(&op->error, SBX_E_UNSUPPORTED_HOST, NULL);
}

/* What only a daemon from `version` on knows is not sent to an older one. */
static SBXI_MAYBE int sbxi_needs(sbx_op *op, uint32_t version)
{
    return sbxi_older(op->sandbox, version) ? sbxi_too_old(op, version) : SBX_OK;
}
