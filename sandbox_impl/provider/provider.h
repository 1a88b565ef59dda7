/* provider - what provider files share: comparing daemon versions, composing
   texts, common header forms. A provider file is tables first, then the few
   functions that no table can say; providers never call each other. */

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
