/* provider - what provider files share: comparing daemon versions, composing
   texts, common header forms. A provider file is tables first, then the few
   functions that no table can say; providers never call each other. */

/* "1.22.3" as 1 << 20 | 22 << 10 | 3; what is not said or no number is 0. */
static uint32_t sbxi_version(const char *text)
{
    uint32_t v = 0, part = 0;
    unsigned dots = 0;
    for (; text && *text && dots < 3; text++) {
        if (sbxi_is_digit(*text)) {
            part = SBXI_MIN(part * 10 + (uint32_t)(*text - '0'), 1023);
        } else {
            v |= part << (20 - 10 * dots);
            part = 0;
            dots = *text == '.' ? dots + 1 : 3;
        }
    }
    return dots < 3 ? v | part << (20 - 10 * dots) : v;
}

#define SBXI_VERSION(major, minor, patch) \
    ((uint32_t)(major) << 20 | (uint32_t)(minor) << 10 | (uint32_t)(patch))

/* An unknown version counts as new: only a host that says so is old. */
static SBXI_MAYBE bool sbxi_older(const sbx_sandbox *s, uint32_t version)
{
    const char *v = s ? s->access.daemon_version : NULL;
    return v && v[0] && sbxi_version(v) < version;
}

/* A random UUID (version 4) as text. */
static SBXI_MAYBE int sbxi_uuid(sbx_op *op, char out[37])
{
    char hex[33];
    size_t i, n = 0;
    int rc = sbxi_hex_boundary(op, hex);
    if (rc != SBX_OK) return rc;
    hex[12] = '4';
    hex[16] = "89ab"[sbxi_hex_value(hex[16]) & 3];
    for (i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) out[n++] = '-';
        out[n++] = hex[i];
    }
    out[n] = 0;
    return SBX_OK;
}

#define SBXI_TIME_MAX 32

/* "2025-01-01T00:00:00+00:00" of a time before the year 10000, NUL-terminated;
   returns its length. Days are found bit by bit: no 64-bit division. */
static SBXI_MAYBE size_t sbxi_print_time(char *out, int64_t unix_ms)
{
    static const char form[] = "0000-00-00T00:00:00+00:00";
    uint64_t ms = unix_ms > 0 ? (uint64_t)unix_ms : 0;
    uint32_t days = 0, s, era, doe, yoe, doy, mp, part[6];
    unsigned i, at;
    for (i = 22; i-- > 0;)
        if (ms >= (uint64_t)86400000 << i) {
            ms -= (uint64_t)86400000 << i;
            days |= 1u << i;
        }
    s = (uint32_t)ms / 1000;
    days += 719468; /* from 0000-03-01: years then end with February */
    era = days / 146097;
    doe = days - era * 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    part[2] = doy - (153 * mp + 2) / 5 + 1;
    part[1] = mp < 10 ? mp + 3 : mp - 9;
    part[0] = yoe + era * 400 + (part[1] <= 2);
    part[3] = s / 3600;
    part[4] = s / 60 % 60;
    part[5] = s % 60;
    memcpy(out, form, sizeof form);
    for (i = 0, at = 2; i < 6; i++, at += 3) {
        out[at] = (char)('0' + part[i] / 10 % 10);
        out[at + 1] = (char)('0' + part[i] % 10);
    }
    out[0] = (char)('0' + part[0] / 1000 % 10);
    out[1] = (char)('0' + part[0] / 100 % 10);
    return sizeof form - 1;
}
