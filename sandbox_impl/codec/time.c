/* codec/time - dates as Unix milliseconds and back. Used by the binder (RFC 3339),
   by retries (HTTP dates) and by queries. Pure; years 1970 to 9999; no 64-bit
   division. A date is six parts: year, month, day, hour, minute, second. */

/* Days since 1970-01-01; month and day may lie one behind the last. */
static int32_t sbxi_days(int32_t year, int32_t month, int32_t day)
{
    int32_t century;
    if (month < 3) { /* count from March: years then end with the leap day */
        month += 12;
        year--;
    }
    century = year / 100;
    return year * 365 + (year >> 2) - century + (century >> 2) + (month * 153 - 457) / 5 + day
        - 719469;
}

static int64_t sbxi_unix_ms(const int16_t part[6])
{
    int32_t seconds = (part[3] * 60 + part[4]) * 60 + part[5];
    return ((int64_t)sbxi_days(part[0], part[1], part[2]) * 86400 + seconds) * 1000;
}

/* Reads what `form` says: a to f are the digits of the six parts, other characters
   stand for themselves, in either case; T may be a space. Returns what follows,
   or NULL. */
static const char *sbxi_take_form(const char *s, const char *form, int16_t part[6])
{
    for (; *form; form++) {
        unsigned i = (unsigned)*form - 'a', left = i ? 2 : 4;
        int v = 0;
        if (i >= 6) {
            if (sbxi_lower(*s) != sbxi_lower(*form) && (*form != 'T' || *s != ' ')) return NULL;
            s++;
            continue;
        }
        for (; left > 0; left--, s++) {
            if (!sbxi_is_digit(*s)) return NULL;
            v = v * 10 + *s - '0';
        }
        part[i] = (int16_t)v;
    }
    return s;
}

/* A leap second counts as the next. */
static bool sbxi_is_date(const int16_t part[6])
{
    return part[0] >= 1970 && part[1] >= 1 && part[1] <= 12 && part[2] >= 1
        && sbxi_days(part[0], part[1], part[2]) < sbxi_days(part[0], part[1] + 1, 1)
        && part[3] < 24 && part[4] < 60 && part[5] <= 60;
}

/* RFC 3339: 2024-05-06T07:08:09.123456789Z, offset Z or +-hh:mm; a fraction is
   cut to milliseconds. What is none leaves *unix_ms alone. */
static SBXI_MAYBE bool sbxi_parse_time(const char *s, int64_t *unix_ms)
{
    int16_t part[6], offset[6] = { 1970, 1, 1, 0, 0, 0 };
    int ms = 0, scale = 100, sign;
    s = sbxi_take_form(s, "a-b-cTd:e:f", part);
    if (!s || !sbxi_is_date(part)) return false;
    if (*s == '.') {
        if (!sbxi_is_digit(*++s)) return false;
        for (; sbxi_is_digit(*s); s++, scale /= 10) ms += (*s - '0') * scale;
    }
    sign = *s == '+' ? -60 : 60;
    s = sbxi_take_form(s, *s == '+' ? "+d:e" : *s == '-' ? "-d:e" : "Z", offset);
    if (!s || *s || !sbxi_is_date(offset)) return false;
    ms += sign * 1000 * (offset[3] * 60 + offset[4]);
    *unix_ms = sbxi_unix_ms(part) + ms;
    return true;
}

/* The date of HTTP (IMF-fixdate): Sun, 06 Nov 1994 08:49:37 GMT. The name of
   the day is not looked at. */
static SBXI_MAYBE bool sbxi_parse_http_date(const char *s, int64_t *unix_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int16_t part[6];
    if (strlen(s) != 29 || !sbxi_take_form(s + 3, ", c ", part)) return false;
    for (part[1] = 0; part[1]++ < 12;)
        if (memcmp(months + 3 * part[1] - 3, s + 8, 3) == 0) break;
    if (!sbxi_take_form(s + 11, " a d:e:f GMT", part) || !sbxi_is_date(part)) return false;
    *unix_ms = sbxi_unix_ms(part);
    return true;
}

#define SBXI_TIME_MAX 32

/* "2025-01-01T00:00:00+00:00" of a time, NUL-terminated; returns its length. Each
   part is raised as long as the date does not pass the time. */
static SBXI_MAYBE size_t sbxi_print_time(char *out, int64_t unix_ms)
{
    static const char form[] = "0000-00-00T00:00:00+00:00";
    int16_t part[6] = { 1970, 1, 1, 0, 0, 0 };
    unsigned i;
    if (unix_ms > 253402300799999) unix_ms = 253402300799999; /* the end of 9999 */
    memcpy(out, form, sizeof form);
    for (i = 0; i < 6; i++) {
        unsigned at = 3 * i + 3, left = i ? 2 : 4;
        int v;
        do part[i]++;
        while (sbxi_unix_ms(part) <= unix_ms);
        v = --part[i];
        for (; left > 0; left--, v /= 10) out[at--] = (char)('0' + v % 10);
    }
    return sizeof form - 1;
}

/* What the clock says; 0: there is none, or it was never set. */
static SBXI_MAYBE int64_t sbxi_clock(const sbx_net *net)
{
    int64_t ms = net->unix_ms ? net->unix_ms(net->ctx) : 0;
    return ms > 0 ? ms : 0;
}
