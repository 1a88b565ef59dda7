/* codec/time - dates of replies as Unix milliseconds. Used by the binder (RFC
   3339) and by retries (HTTP dates). Pure; years 1970 to 9999; no 64-bit division. */

/* Exactly n digits at *p, moved behind them; -1 if there are not. */
static int32_t sbxi_take_digits(sbxi_span *s, unsigned n)
{
    int32_t v = 0;
    if (s->len < n) return -1;
    s->len -= n;
    for (; n > 0; n--, s->ptr++) {
        if (!sbxi_is_digit(*s->ptr)) return -1;
        v = v * 10 + (*s->ptr - '0');
    }
    return v;
}

static bool sbxi_take_char(sbxi_span *s, char c)
{
    if (s->len == 0 || sbxi_lower(*s->ptr) != sbxi_lower(c)) return false;
    s->ptr++;
    s->len--;
    return true;
}

/* Days since 1970-01-01 of a date that is checked here, -1 if there is none. */
static int32_t sbxi_days(int32_t year, int32_t month, int32_t day)
{
    static const uint16_t before[13] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304,
        334, 365 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int32_t past = year - 1;
    if (year < 1970 || month < 1 || month > 12 || day < 1
        || day > before[month] - before[month - 1] + (leap && month == 2)) return -1;
    return year * 365 + past / 4 - past / 100 + past / 400 - 719527
        + before[month - 1] + (leap && month > 2) + day - 1;
}

/* hh:mm:ss as seconds, -1 if it is none. A leap second counts as the next. */
static int32_t sbxi_take_clock(sbxi_span *s, bool seconds)
{
    int32_t h, m, sec = 0;
    h = sbxi_take_digits(s, 2);
    if (!sbxi_take_char(s, ':')) return -1;
    m = sbxi_take_digits(s, 2);
    if (seconds) {
        if (!sbxi_take_char(s, ':')) return -1;
        sec = sbxi_take_digits(s, 2);
    }
    if (h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60) return -1;
    return (h * 60 + m) * 60 + sec;
}

static int64_t sbxi_unix_ms(int32_t days, int32_t seconds)
{
    return ((int64_t)days * 86400 + seconds) * 1000;
}

/* RFC 3339: 2024-05-06T07:08:09.123456789Z, offset Z or +-hh:mm; a fraction is
   cut to milliseconds. */
static SBXI_MAYBE bool sbxi_parse_time(sbxi_span s, int64_t *unix_ms)
{
    int32_t year, month, days, seconds, offset = 0, ms = 0, scale = 100;
    bool minus;
    year = sbxi_take_digits(&s, 4);
    if (!sbxi_take_char(&s, '-')) return false;
    month = sbxi_take_digits(&s, 2);
    if (!sbxi_take_char(&s, '-')) return false;
    days = sbxi_days(year, month, sbxi_take_digits(&s, 2));
    if (!sbxi_take_char(&s, 'T') && !sbxi_take_char(&s, ' ')) return false;
    seconds = sbxi_take_clock(&s, true);
    if (days < 0 || seconds < 0) return false;
    if (sbxi_take_char(&s, '.')) {
        int32_t d = sbxi_take_digits(&s, 1);
        for (; d >= 0; d = s.len && sbxi_is_digit(*s.ptr) ? sbxi_take_digits(&s, 1) : -1) {
            ms += d * scale;
            scale /= 10;
        }
        if (!sbxi_is_digit(s.ptr[-1])) return false;
    }
    if (!sbxi_take_char(&s, 'Z')) {
        minus = sbxi_take_char(&s, '-');
        if (!minus && !sbxi_take_char(&s, '+')) return false;
        offset = sbxi_take_clock(&s, false);
        if (offset < 0) return false;
        if (minus) offset = -offset;
    }
    if (s.len) return false;
    *unix_ms = sbxi_unix_ms(days, seconds - offset) + ms;
    return true;
}

/* The date of HTTP (IMF-fixdate): Sun, 06 Nov 1994 08:49:37 GMT. The name of
   the day is not looked at. */
static SBXI_MAYBE bool sbxi_parse_http_date(sbxi_span s, int64_t *unix_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int32_t day, month, days, seconds;
    if (s.len != 29 || memcmp(s.ptr + 3, ", ", 2) != 0 || s.ptr[7] != ' '
        || s.ptr[11] != ' ' || memcmp(s.ptr + 25, " GMT", 4) != 0) return false;
    for (month = 0; month < 12; month++)
        if (memcmp(months + 3 * month, s.ptr + 8, 3) == 0) break;
    s.ptr += 5;
    day = sbxi_take_digits(&s, 2);
    s.ptr += 5;
    days = sbxi_days(sbxi_take_digits(&s, 4), month + 1, day);
    if (!sbxi_take_char(&s, ' ')) return false;
    seconds = sbxi_take_clock(&s, true);
    if (days < 0 || seconds < 0) return false;
    *unix_ms = sbxi_unix_ms(days, seconds);
    return true;
}
