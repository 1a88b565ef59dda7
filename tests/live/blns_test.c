/* The Big List of Naughty Strings on a real host: as file names written, listed, looked
   at and read back, as values of the environment and as arguments of a command; byte for
   byte. Runs from the repository's root. */
#include "live.h"

#define BOX "/home/user/blns/"

static char text[65536], pool[65536];
static const char *strings[600];
static size_t count, used, open_at;

static int on_event(void *ctx, const sbx_json_event *ev)
{
    (void)ctx;
    if (ev->type != SBX_JSON_STRING) return SBX_OK;
    if (used + ev->len + 1 > sizeof pool || count == SBXI_LEN(strings)) return SBX_E_TOO_LARGE;
    memcpy(pool + used, ev->text, ev->len);
    used += ev->len;
    if (ev->flags & SBX_JSON_MORE) return SBX_OK;
    pool[used++] = 0;
    strings[count++] = pool + open_at;
    open_at = used;
    return SBX_OK;
}

static bool load_strings(void)
{
    sbx_json_reader r;
    FILE *f = fopen("tests/data/blns.json", "rb");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f) fclose(f);
    if (count) return true;
    sbx_json_init(&r, on_event, NULL);
    return sbx_json_feed(&r, text, n, NULL) == SBX_OK && sbx_json_end(&r) == SBX_OK
        && count == 515;
}

/* What a file can be called. */
static bool is_name(const char *s)
{
    return *s && strlen(s) <= 255 && !strchr(s, '/') && strcmp(s, ".") != 0
        && strcmp(s, "..") != 0;
}

static char seen[SBXI_LEN(strings)]; /* how often the listing has it */
static size_t listed;

static int note(void *ctx, const sbx_file_info *info)
{
    size_t i;
    (void)ctx;
    listed++;
    CHECK_INT(info->type, SBX_FILE_REGULAR);
    CHECK(strncmp(info->path, BOX, strlen(BOX)) == 0);
    CHECK_STR(info->path + strlen(BOX), info->name);
    for (i = 0; i < count; i++) seen[i] = (char)(seen[i] + (strcmp(info->name, strings[i]) == 0));
    return SBX_OK;
}

/* The content is the name; by turns as multipart and raw. */
static void write_one(sbx_sandbox *s, const char *path, const char *name, bool raw)
{
    sbx_reading in;
    sbx_file_info *info = NULL;
    size_t n = strlen(name);
    int rc;
    memset(&in, 0, sizeof in);
    in.data = name;
    in.len = n;
    rc = raw ? sbx_files_write(s, path, sbx_source_memory(&in), NULL, &info, NULL)
             : sbx_files_write_bytes(s, path, name, n, NULL, &info, NULL);
    if (!CHECK_INT(rc, SBX_OK)) return;
    CHECK_STR(info->name, name);
    CHECK_STR(info->path, path);
    sbx_free(info);
}

static void look_at(sbx_sandbox *s, const char *path, const char *name)
{
    char got[512];
    sbx_memory m;
    sbx_file_info *info = NULL;
    memset(&m, 0, sizeof m);
    m.data = (unsigned char *)got;
    m.cap = sizeof got;
    CHECK_INT(sbx_files_read(s, path, NULL, sbx_sink_memory(&m), NULL), SBX_OK);
    CHECK_MEM(got, m.len, name, strlen(name));
    if (!CHECK_INT(sbx_files_stat(s, path, NULL, &info, NULL), SBX_OK)) return;
    CHECK_STR(info->name, name);
    CHECK_INT(info->size, strlen(name));
    sbx_free(info);
}

TEST(blns_file_names)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    size_t i, names = 0, once = 0;
    char path[300] = BOX;
    REQUIRE(s);
    REQUIRE(load_strings());
    for (i = 0; i < count; i++) {
        if (!is_name(strings[i])) continue;
        names++;
        test_row = strings[i];
        strcpy(path + strlen(BOX), strings[i]);
        write_one(s, path, strings[i], i % 2 != 0);
        look_at(s, path, strings[i]);
    }
    test_row = NULL;
    CHECK_INT(sbx_files_list(s, BOX, NULL, note, NULL, NULL), SBX_OK);
    for (i = 0; i < count; i++) once += is_name(strings[i]) && seen[i] == 1;
    CHECK_INT(names, 332);
    CHECK_INT(once, 332);
    CHECK_INT(listed, 329); /* some stand in the list twice */
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* In the output each string is behind its mark and ends in a NUL. */
static void find_all(const sbx_command_result *res, const char *mark)
{
    size_t i, found = 0;
    for (i = 0; i < count; i++) {
        char begin[40];
        size_t n = (size_t)snprintf(begin, sizeof begin, "%s%u=", mark, (unsigned)i);
        const char *p = res->out, *end = res->out + res->out_len;
        for (; p && p < end; p += strlen(p) + 1)
            if (strncmp(p, begin, n) == 0) break;
        test_row = strings[i];
        if (CHECK(p && p < end)) found += CHECK_STR(p + n, strings[i]);
    }
    test_row = NULL;
    CHECK_INT(found, 515);
}

TEST(blns_environment)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result res;
    static sbx_pair envs[SBXI_LEN(strings)];
    static char keys[SBXI_LEN(strings)][16];
    size_t i;
    REQUIRE(s);
    REQUIRE(load_strings());
    for (i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "BLNS_%u", (unsigned)i);
        envs[i].key = keys[i];
        envs[i].value = strings[i];
    }
    memset(&o, 0, sizeof o);
    o.envs.items = envs;
    o.envs.count = count;
    o.capture_limit = 1 << 20;
    CHECK_INT(sbx_command_run(s, "env -0", &o, &res, NULL), SBX_OK);
    CHECK_INT(res.exit_code, 0);
    CHECK_INT(res.out_cut, 0);
    find_all(&res, "BLNS_");
    sbx_free(res.out);
    sbx_free(res.err);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* Each quoted for the shell, all in one command. */
TEST(blns_arguments)
{
    static char cmd[131072];
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_command_options o;
    sbx_command_result res;
    size_t i, n;
    REQUIRE(s);
    REQUIRE(load_strings());
    n = (size_t)snprintf(cmd, sizeof cmd, "printf '%%s\\0'");
    for (i = 0; i < count; i++) {
        const char *p = strings[i];
        REQUIRE(n + 4 * strlen(p) + 20 < sizeof cmd);
        n += (size_t)sprintf(cmd + n, " '%u=", (unsigned)i);
        for (; *p; p++)
            if (*p == '\'') n += (size_t)sprintf(cmd + n, "'\\''");
            else cmd[n++] = *p;
        n += (size_t)sprintf(cmd + n, "'");
    }
    memset(&o, 0, sizeof o);
    o.capture_limit = 1 << 20;
    CHECK_INT(sbx_command_run(s, cmd, &o, &res, NULL), SBX_OK);
    CHECK_INT(res.exit_code, 0);
    find_all(&res, "");
    sbx_free(res.out);
    sbx_free(res.err);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}
