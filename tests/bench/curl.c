/* curl - the jobs of bench.h by libcurl: the raw requests, replies counted and not
   decoded. One handle, so that its connection is used again. */
#include "bench.h"
#include <curl/curl.h>

static CURL *curl;
static size_t got, left;

static size_t take(char *data, size_t one, size_t n, void *ctx)
{
    (void)data;
    (void)ctx;
    got += one * n;
    return one * n;
}

static size_t give(char *buf, size_t one, size_t n, void *ctx)
{
    size_t some = one * n < left ? one * n : left;
    (void)ctx;
    memset(buf, 'x', some);
    left -= some;
    return some;
}

static struct curl_slist *header(struct curl_slist *list, const char *name, const char *value)
{
    char line[600];
    snprintf(line, sizeof line, "%s: %s", name, value);
    return curl_slist_append(list, line);
}

static void perform(const char *path, const char *type)
{
    struct curl_slist *list = NULL;
    char url[300];
    long status = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%s%s", bench_env("BENCH_PORT"), path);
    list = header(list, "E2b-Sandbox-Id", bench_env("BENCH_ID"));
    list = header(list, "E2b-Sandbox-Port", "49983");
    list = header(list, "X-Access-Token", bench_env("BENCH_TOKEN"));
    list = header(list, "Authorization", "Basic dXNlcjo=");
    list = header(list, "Content-Type", type);
    list = header(list, "Connect-Protocol-Version", "1");
    list = header(list, "Expect", ""); /* no round trip before the body */
    got = 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    if (curl_easy_perform(curl) != CURLE_OK) bench_die("curl failed");
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) bench_die("curl: not 200");
    curl_slist_free_all(list);
}

static void command(const char *cmd, int show, size_t expect)
{
    char body[1000];
    size_t n = bench_start_body(body, sizeof body, cmd);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)n);
    perform("/process.Process/Start", "application/connect+json");
    if (show || got < expect) bench_die("curl: wrong output");
}

static void upload(size_t bytes)
{
    left = bytes;
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes);
    perform("/files?path=" BENCH_FILE "&username=user", "application/octet-stream");
}

static void download(size_t bytes)
{
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    perform("/files?path=" BENCH_FILE "&username=user", "application/octet-stream");
    if (got != bytes) bench_die("curl: wrong length");
}

int main(int argc, char **argv)
{
    static const bench_jobs jobs = { command, upload, download };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    if (!curl) bench_die("curl");
    bench_main(argc, argv, &jobs);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return 0;
}
