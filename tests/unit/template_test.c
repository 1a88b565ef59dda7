/* template_test - the template builder: what its steps become on the wire, what is
   wrong with them, and the whole life of a build on a scripted service. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

#include <limits.h>

#define LIST(...) ((sbx_strings){ (const char *const[]){ __VA_ARGS__ }, \
    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *) })
#define PAIRS(...) ((sbx_pairs){ (const sbx_pair[]){ __VA_ARGS__ }, \
    sizeof((const sbx_pair[]){ __VA_ARGS__ }) / sizeof(sbx_pair) })
#define OPT(...) (&(sbx_step_options){ __VA_ARGS__ })

static sbx_sink text_sink(ptext *t)
{
    sbx_sink s = { text_put, t };
    t->len = 0;
    pt_put(t, "");
    return s;
}

/* ---- what the steps become -------------------------------------------------------- */

static void all_steps(sbx_template *t)
{
    sbx_readiness port = { .kind = SBX_READY_PORT, .port = 8000 };
    sbx_template_from(t, SBX_IMAGE_PYTHON, "3.12");
    sbx_template_user(t, "root");
    sbx_template_workdir(t, "/app");
    sbx_template_envs(t, PAIRS({ "A", "1" }, { "B", "two words" }));
    sbx_template_install(t, SBX_INSTALL_APT, LIST("curl", "git"), OPT(.no_recommends = SBX_YES));
    sbx_template_install(t, SBX_INSTALL_PIP, LIST("requests"), NULL);
    sbx_template_install(t, SBX_INSTALL_PIP, (sbx_strings){ 0 }, OPT(.global = SBX_NO));
    sbx_template_install(t, SBX_INSTALL_NPM, LIST("typescript"), OPT(.global = SBX_YES));
    sbx_template_install(t, SBX_INSTALL_NPM, (sbx_strings){ 0 }, NULL);
    sbx_template_install(t, SBX_INSTALL_BUN, LIST("x"), OPT(.dev = SBX_YES));
    sbx_template_remove(t, LIST("/tmp/x y"), OPT(.recursive = SBX_YES, .force = SBX_YES));
    sbx_template_rename(t, "/a", "/b", OPT(.force = SBX_YES));
    sbx_template_make_dir(t, LIST("/d", "/e"), OPT(.mode = 0755));
    sbx_template_make_symlink(t, "/s", "/l", OPT(.force = SBX_YES));
    sbx_template_git_clone(t, "https://github.com/o/r.git", "/r", OPT(.branch = "main",
        .depth = 1));
    sbx_template_run_all(t, LIST("a", "b"), OPT(.user = "root"));
    sbx_template_skip_cache(t);
    sbx_template_run(t, "after", NULL);
    sbx_template_start(t, "python app.py", &port);
}

/* Word for word what the recording "template.build all instructions" has. */
TEST(every_step)
{
    rig r;
    ptext got = { 0 };
    sbx_template *t;
    rig_start(&r);
    rig_open(&r);
    t = sbx_template_new(r.c);
    all_steps(t);
    CHECK_INT(sbx_template_to_json(t, text_sink(&got)), SBX_OK);
    CHECK_STR(got.p, "{\"fromImage\":\"python:3.12\",\"force\":false,\"steps\":["
        "{\"type\":\"USER\",\"args\":[\"root\"],\"force\":false},"
        "{\"type\":\"WORKDIR\",\"args\":[\"/app\"],\"force\":false},"
        "{\"type\":\"ENV\",\"args\":[\"A\",\"1\",\"B\",\"two words\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"apt-get update && DEBIAN_FRONTEND=noninteractive "
        "DEBCONF_NOWARNINGS=yes apt-get install -y --no-install-recommends curl git\",\"root\"],"
        "\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"pip install requests\",\"root\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"pip install --user .\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"npm install -g typescript\",\"root\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"npm install\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"bun install --dev x\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"rm -r -f '/tmp/x y'\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"mv /a /b -f\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"mkdir -p -m 0755 /d /e\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"ln -s -f /s /l\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"git clone https://github.com/o/r.git --branch main "
        "--single-branch --depth 1 /r\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"a && b\",\"root\"],\"force\":false},"
        "{\"type\":\"RUN\",\"args\":[\"after\"],\"force\":true}],"
        "\"startCmd\":\"python app.py\","
        "\"readyCmd\":\"[ -n \\\"$(ss -Htuln sport = :8000)\\\" ]\"}");
    CHECK_INT(sbx_template_to_dockerfile(t, text_sink(&got)), SBX_OK);
    CHECK_STR(got.p, "FROM python:3.12\nUSER root\nWORKDIR /app\nENV A=1 B=two words\n"
        "RUN apt-get update && DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get "
        "install -y --no-install-recommends curl git\nRUN pip install requests\n"
        "RUN pip install --user .\nRUN npm install -g typescript\nRUN npm install\n"
        "RUN bun install --dev x\nRUN rm -r -f '/tmp/x y'\nRUN mv /a /b -f\n"
        "RUN mkdir -p -m 0755 /d /e\nRUN ln -s -f /s /l\nRUN git clone "
        "https://github.com/o/r.git --branch main --single-branch --depth 1 /r\n"
        "RUN a && b\nRUN after\nENTRYPOINT python app.py\n");
    sbx_template_release(t);
    pt_free(&got);
    rig_end(&r);
}

typedef struct shape { const char *name; void (*fill)(sbx_template *t); const char *want; } shape;

static void nothing(sbx_template *t) { (void)t; }
static void base_of_its_own(sbx_template *t) { sbx_template_from(t, SBX_IMAGE_BASE, NULL); }
static void skip_first(sbx_template *t)
{
    sbx_template_skip_cache(t);
    sbx_template_from_image(t, "x", NULL);
    sbx_template_run(t, "y", NULL);
}
static void basic(sbx_template *t)
{
    sbx_registry r = { .username = "u", .password = "p" };
    sbx_template_from_image(t, "r.io/i", &r);
}
static void aws(sbx_template *t)
{
    sbx_registry r = { .aws_access_key_id = "AK", .aws_secret_access_key = "SK",
        .aws_region = "us-east-1" };
    sbx_template_from_image(t, "i", &r);
}
static void gcp(sbx_template *t)
{
    sbx_registry r = { .gcp_service_account_json = "{\"type\": \"service_account\"}" };
    sbx_template_from_image(t, "i", &r);
}
static void auth_of_another(sbx_template *t) /* stays with its image */
{
    basic(t);
    sbx_template_from_image(t, "public", NULL);
}
static void template_last(sbx_template *t)
{
    basic(t);
    sbx_template_from_template(t, "other:tag");
}
static void mcp(sbx_template *t)
{
    sbx_template_from_template(t, "mcp-gateway");
    sbx_template_mcp_servers(t, LIST("exa", "brave"));
}
static void dev_container(sbx_template *t)
{
    sbx_template_from_template(t, "devcontainer");
    sbx_template_dev_container(t, "/my repo", SBX_YES);
}
static void words(sbx_template *t)
{
    sbx_template_run_words(t, LIST("echo", "", "it's", "a b", "plain"), OPT(.user = "me"));
    sbx_template_install(t, SBX_INSTALL_PIP, LIST("'a>=1'"), OPT(.user = "me"));
}
static void copies(sbx_template *t)
{
    sbx_template_copy(t, "a", "/b", OPT(.user = "u:g", .mode = 0644));
    sbx_template_copy_all(t, LIST("./c", "d/../e"), "/f/", OPT(.force_upload = SBX_YES));
}
static void names_with_dots(sbx_template *t)
{
    sbx_template_copy_all(t, LIST("a.", ".b", "...", "./c/.."), "/", NULL);
}
static void plain_options(sbx_template *t)
{
    sbx_template_git_clone(t, "u", NULL, NULL);
    sbx_template_git_clone(t, "u", "/d", OPT(.depth = 2));
    sbx_template_make_dir(t, LIST("/d"), NULL);
}
static void ready_url(sbx_template *t)
{
    sbx_readiness u = { .kind = SBX_READY_URL, .text = "http://localhost:1/x?y",
        .http_status = 204 };
    sbx_template_ready(t, &u);
}
static void ready_process(sbx_template *t)
{
    sbx_readiness p = { .kind = SBX_READY_PROCESS, .text = "my srv" };
    sbx_template_ready(t, &p);
}
static void ready_file(sbx_template *t)
{
    sbx_readiness f = { .kind = SBX_READY_FILE, .text = "/tmp/up" };
    sbx_template_ready(t, &f);
}
static void ready_time(sbx_template *t)
{
    sbx_readiness soon = { .kind = SBX_READY_TIMEOUT, .timeout_ms = 20 };
    sbx_readiness later = { .kind = SBX_READY_TIMEOUT, .timeout_ms = 20999 };
    sbx_template_start(t, "first", &soon);
    sbx_template_start(t, "last", &later);
}
static void ready_command(sbx_template *t)
{
    sbx_readiness c = { .kind = SBX_READY_COMMAND, .text = "true && echo %d 100%" };
    sbx_template_ready(t, &c);
}

#define BASE "{\"fromImage\":\"e2bdev/base\",\"force\":false,\"steps\":["
#define RUN(cmd, more) "{\"type\":\"RUN\",\"args\":[\"" cmd "\"" more "],\"force\":false}"

static const shape shapes[] = {
    { "nothing", nothing, BASE "]}" },
    { "base", base_of_its_own, BASE "]}" },
    { "skip_first", skip_first, "{\"fromImage\":\"x\",\"force\":true,\"steps\":[{\"type\":\"RUN\","
        "\"args\":[\"y\"],\"force\":true}]}" },
    { "basic", basic, "{\"fromImage\":\"r.io/i\",\"fromImageRegistry\":{\"type\":\"registry\","
        "\"username\":\"u\",\"password\":\"p\"},\"force\":false,\"steps\":[]}" },
    { "aws", aws, "{\"fromImage\":\"i\",\"fromImageRegistry\":{\"type\":\"aws\","
        "\"awsAccessKeyId\":\"AK\",\"awsSecretAccessKey\":\"SK\",\"awsRegion\":\"us-east-1\"},"
        "\"force\":false,\"steps\":[]}" },
    { "gcp", gcp, "{\"fromImage\":\"i\",\"fromImageRegistry\":{\"type\":\"gcp\","
        "\"serviceAccountJson\":\"{\\\"type\\\": \\\"service_account\\\"}\"},"
        "\"force\":false,\"steps\":[]}" },
    { "auth_of_another", auth_of_another,
        "{\"fromImage\":\"public\",\"force\":false,\"steps\":[]}" },
    { "template_last", template_last,
        "{\"fromTemplate\":\"other:tag\",\"force\":false,\"steps\":[]}" },
    { "mcp", mcp, "{\"fromTemplate\":\"mcp-gateway\",\"force\":false,\"steps\":["
        RUN("mcp-gateway pull exa brave", ",\"root\"") "]}" },
    { "dev_container", dev_container, "{\"fromTemplate\":\"devcontainer\",\"force\":false,"
        "\"steps\":[" RUN("devcontainer build --workspace-folder '/my repo'", ",\"root\"") "],"
        "\"startCmd\":\"sudo devcontainer up --workspace-folder '/my repo' && sudo "
        "/prepare-exec.sh '/my repo' | sudo tee /devcontainer.sh > /dev/null && sudo chmod +x "
        "/devcontainer.sh && sudo touch /devcontainer.up\","
        "\"readyCmd\":\"[ -f /devcontainer.up ]\"}" },
    { "words", words, BASE RUN("echo '' 'it'\\\"'\\\"'s' 'a b' plain", ",\"me\"") ","
        RUN("pip install 'a>=1'", ",\"me\"") "]}" },
    { "copies", copies, BASE "{\"type\":\"COPY\",\"args\":[\"a\",\"/b\",\"u:g\",\"0644\"],"
        "\"force\":false},{\"forceUpload\":true,\"type\":\"COPY\",\"args\":[\"./c\",\"/f/\",\"\","
        "\"\"],\"force\":true},{\"forceUpload\":true,\"type\":\"COPY\",\"args\":[\"d/../e\","
        "\"/f/\",\"\",\"\"],\"force\":true}]}" },
#define COPY(src) "{\"type\":\"COPY\",\"args\":[\"" src "\",\"/\",\"\",\"\"],\"force\":false}"
    { "names_with_dots", names_with_dots, BASE COPY("a.") "," COPY(".b") "," COPY("...") ","
        COPY("./c/..") "]}" },
    { "plain_options", plain_options, BASE RUN("git clone u", "") "," RUN("git clone u --depth 2 /d", "")
        "," RUN("mkdir -p /d", "") "]}" },
    { "ready_url", ready_url, BASE "],\"readyCmd\":\"curl -s -o /dev/null -w "
        "\\\"%{http_code}\\\" 'http://localhost:1/x?y' | grep -q \\\"204\\\"\"}" },
    { "ready_process", ready_process, BASE "],\"readyCmd\":\"pgrep 'my srv' > /dev/null\"}" },
    { "ready_file", ready_file, BASE "],\"readyCmd\":\"[ -f /tmp/up ]\"}" },
    { "ready_time", ready_time, BASE "],\"startCmd\":\"last\",\"readyCmd\":\"sleep 20\"}" },
    { "ready_command", ready_command, BASE "],\"readyCmd\":\"true && echo %d 100%\"}" }
};

TEST(what_is_said)
{
    size_t i;
    for (i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        rig r;
        ptext got = { 0 };
        sbx_template *t;
        test_row = shapes[i].name;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        shapes[i].fill(t);
        CHECK_STR(sbx_template_error(t)->message, "");
        CHECK_INT(sbx_template_to_json(t, text_sink(&got)), SBX_OK);
        CHECK_STR(got.p, shapes[i].want);
        sbx_template_release(t);
        pt_free(&got);
        rig_end(&r);
    }
    test_row = NULL;
}

/* The base named last counts, for all that is made of it. */
TEST(the_last_base_counts)
{
    rig r;
    ptext got = { 0 };
    sbx_template *t;
    rig_start(&r);
    rig_open(&r);
    t = sbx_template_new(r.c);
    sbx_template_from_template(t, "mcp-gateway");
    CHECK_INT(sbx_template_to_dockerfile(t, text_sink(&got)), SBX_E_UNSUPPORTED);
    sbx_template_from_image(t, "x", NULL);
    CHECK_INT(sbx_template_to_dockerfile(t, text_sink(&got)), SBX_OK);
    CHECK_STR(got.p, "FROM x\n");
    CHECK_INT(sbx_template_mcp_servers(t, LIST("exa")), SBX_E_ARG);
    sbx_template_release(t);
    t = sbx_template_new(r.c);
    sbx_template_from_image(t, "x", NULL);
    sbx_template_from_template(t, "mcp-gateway");
    CHECK_INT(sbx_template_to_dockerfile(t, text_sink(&got)), SBX_E_UNSUPPORTED);
    CHECK_INT(sbx_template_mcp_servers(t, LIST("exa")), SBX_OK);
    sbx_template_release(t);
    pt_free(&got);
    rig_end(&r);
}

TEST(known_images)
{
    static const char *const names[] = { "e2bdev/base", "python:3", "node:lts",
        "oven/bun:latest", "ubuntu:latest", "debian:stable", "fedora:44", "alpine:3.24",
        "archlinux:latest" };
    unsigned i;
    for (i = 0; i <= SBX_IMAGE_ARCH; i++) {
        rig r;
        ptext got = { 0 };
        char want[64];
        sbx_template *t;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        CHECK_INT(sbx_template_from(t, (sbx_image)i, NULL), SBX_OK);
        CHECK_INT(sbx_template_to_dockerfile(t, text_sink(&got)), SBX_OK);
        snprintf(want, sizeof want, "FROM %s\n", names[i]);
        CHECK_STR(got.p, want);
        sbx_template_release(t);
        pt_free(&got);
        rig_end(&r);
    }
}

/* ---- what is wrong -------------------------------------------------------------------- */

static int bad_image(sbx_template *t) { return sbx_template_from(t, (sbx_image)99, NULL); }
static int bad_version(sbx_template *t) { return sbx_template_from(t, SBX_IMAGE_BASE, "3"); }
static int no_image(sbx_template *t) { return sbx_template_from_image(t, "", NULL); }
static int two_kinds(sbx_template *t)
{
    sbx_registry r = { .username = "u", .password = "p", .gcp_service_account_json = "{}" };
    return sbx_template_from_image(t, "i", &r);
}
static int half_a_login(sbx_template *t)
{
    sbx_registry r = { .username = "u" };
    return sbx_template_from_image(t, "i", &r);
}
static int bad_account(sbx_template *t)
{
    sbx_registry r = { .gcp_service_account_json = "{" };
    return sbx_template_from_image(t, "i", &r);
}
static int absolute(sbx_template *t) { return sbx_template_copy(t, "/abs", "b", NULL); }
static int escapes(sbx_template *t) { return sbx_template_copy(t, "a/../../b", "b", NULL); }
static int no_dest(sbx_template *t) { return sbx_template_copy(t, "a", NULL, NULL); }
static int bad_mode(sbx_template *t)
{
    return sbx_template_copy(t, "a", "b", OPT(.mode = 010000));
}
static int second_of_many(sbx_template *t)
{
    return sbx_template_copy_all(t, LIST("a", "../b"), "c", NULL);
}
static int no_sources(sbx_template *t)
{
    return sbx_template_copy_all(t, (sbx_strings){ NULL, 2 }, "c", NULL);
}
static int no_paths(sbx_template *t) { return sbx_template_remove(t, (sbx_strings){ 0 }, NULL); }
static int null_path(sbx_template *t) { return sbx_template_make_dir(t, LIST("a", NULL), NULL); }
static int no_command(sbx_template *t) { return sbx_template_run(t, NULL, NULL); }
static int no_words(sbx_template *t) { return sbx_template_run_words(t, (sbx_strings){ 0 }, NULL); }
static int bad_env(sbx_template *t) { return sbx_template_envs(t, PAIRS({ "A=B", "1" })); }
static int null_env(sbx_template *t) { return sbx_template_envs(t, PAIRS({ "A", NULL })); }
static int no_apt(sbx_template *t)
{
    return sbx_template_install(t, SBX_INSTALL_APT, (sbx_strings){ 0 }, NULL);
}
static int shell_package(sbx_template *t)
{
    return sbx_template_install(t, SBX_INSTALL_PIP, LIST("a>=1"), NULL);
}
static int no_installer(sbx_template *t)
{
    return sbx_template_install(t, (sbx_installer)7, LIST("a"), NULL);
}
static int ends_a_quote(sbx_template *t)
{
    return sbx_template_install(t, SBX_INSTALL_PIP, LIST("'a>=1'; id"), NULL);
}
static int opens_a_quote(sbx_template *t)
{
    return sbx_template_install(t, SBX_INSTALL_APT, LIST("'a"), NULL);
}
static int half_a_quote(sbx_template *t)
{
    return sbx_template_install(t, SBX_INSTALL_APT, LIST("'"), NULL);
}
static int empty_version(sbx_template *t)
{
    return sbx_template_from(t, SBX_IMAGE_PYTHON, "");
}
static int bad_depth(sbx_template *t)
{
    return sbx_template_git_clone(t, "u", NULL, OPT(.depth = -1));
}
static int no_gateway(sbx_template *t) { return sbx_template_mcp_servers(t, LIST("exa")); }
static int no_dev(sbx_template *t) { return sbx_template_dev_container(t, "/d", SBX_NO); }
static int no_port(sbx_template *t)
{
    sbx_readiness p = { .kind = SBX_READY_PORT };
    return sbx_template_ready(t, &p);
}
static int no_readiness(sbx_template *t) { return sbx_template_ready(t, NULL); }
static int no_url(sbx_template *t)
{
    sbx_readiness u = { .kind = SBX_READY_URL };
    return sbx_template_start(t, "x", &u);
}

static const struct { const char *name; int (*add)(sbx_template *t); const char *message; }
wrongs[] = {
    { "bad_image", bad_image, "step 1 (from): no such image" },
    { "bad_version", bad_version, "step 1 (from): this image has no versions" },
    { "no_image", no_image, "step 1 (from_image): a text is NULL or empty" },
    { "two_kinds", two_kinds, "step 1 (from_image): registry: " },
    { "half_a_login", half_a_login, "step 1 (from_image): registry: " },
    { "bad_account", bad_account, "step 1 (from_image): registry: gcp_" },
    { "absolute", absolute, "step 1 (copy): an absolute source" },
    { "escapes", escapes, "step 1 (copy): the source leads out of the context" },
    { "no_dest", no_dest, "step 1 (copy): dest" },
    { "bad_mode", bad_mode, "step 1 (copy): mode" },
    { "second_of_many", second_of_many, "step 2 (copy): the source leads out" },
    { "no_sources", no_sources, "step 1 (copy): a text is NULL" },
    { "no_paths", no_paths, "step 1 (remove): the list is empty" },
    { "null_path", null_path, "step 1 (make_dir): a text of the list is NULL" },
    { "no_command", no_command, "step 1 (run): a text of the list is NULL" },
    { "no_words", no_words, "step 1 (run_words): the list is empty" },
    { "bad_env", bad_env, "step 1 (envs): a name is empty or has a =" },
    { "null_env", null_env, "step 1 (envs): a name or value is NULL" },
    { "no_apt", no_apt, "step 1 (install): the list is empty" },
    { "shell_package", shell_package, "step 1 (install): a package has a character" },
    { "ends_a_quote", ends_a_quote, "step 1 (install): a package has a character" },
    { "opens_a_quote", opens_a_quote, "step 1 (install): a package has a character" },
    { "half_a_quote", half_a_quote, "step 1 (install): a package has a character" },
    { "empty_version", empty_version, "step 1 (from): version is empty" },
    { "no_installer", no_installer, "step 1 (install): no such installer" },
    { "bad_depth", bad_depth, "step 1 (git_clone): depth is negative" },
    { "no_gateway", no_gateway, "step 1 (mcp_servers): only a template from" },
    { "no_dev", no_dev, "step 1 (dev_container): only a template from" },
    { "no_port", no_port, "step 1 (ready): port is 0" },
    { "no_readiness", no_readiness, "step 1 (ready): ready is NULL" },
    { "no_url", no_url, "step 1 (ready): a text is NULL" }
};

/* Each is refused where it is added, sticks, and keeps a build from starting. */
TEST(what_is_wrong)
{
    size_t i;
    for (i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        rig r;
        sbx_build_options o = { .name = "t" };
        sbx_build_info *info = (sbx_build_info *)&r;
        ptext got = { 0 };
        sbx_template *t;
        test_row = wrongs[i].name;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        CHECK_INT(wrongs[i].add(t), SBX_E_ARG);
        if (!CHECK(strncmp(sbx_template_error(t)->message, wrongs[i].message,
                           strlen(wrongs[i].message)) == 0))
            puts(sbx_template_error(t)->message);
        CHECK_INT(sbx_template_run(t, "fine", NULL), SBX_E_ARG);
        CHECK_INT(sbx_template_copy_all(t, (sbx_strings){ 0 }, "/", NULL), SBX_E_ARG);
        CHECK_INT(sbx_template_envs(t, (sbx_pairs){ 0 }), SBX_E_ARG);
        CHECK_INT(sbx_template_skip_cache(t), SBX_E_ARG);
        CHECK(strncmp(sbx_template_error(t)->message, wrongs[i].message,
                      strlen(wrongs[i].message)) == 0);
        CHECK_INT(sbx_template_to_json(t, text_sink(&got)), SBX_E_ARG);
        CHECK_INT(sbx_template_build(t, &o, &info, NULL), SBX_E_ARG);
        CHECK(info == NULL);
        CHECK_STR(sbx_client_error(r.c)->message, sbx_template_error(t)->message);
        sbx_template_release(t);
        pt_free(&got);
        rig_end(&r);
    }
    test_row = NULL;
}

TEST(no_template)
{
    rig r;
    sbx_build_info *info = (sbx_build_info *)&r;
    ptext got = { 0 };
    rig_start(&r);
    rig_open(&r);
    CHECK(sbx_template_new(NULL) == NULL);
    r.p->heap.fail_at = r.p->heap.calls + 1;
    CHECK(sbx_template_new(r.c) == NULL);
    CHECK_INT(sbx_template_run(NULL, "x", NULL), SBX_E_NOMEM);
    CHECK_INT(sbx_template_from(NULL, SBX_IMAGE_NODE, NULL), SBX_E_NOMEM);
    CHECK_INT(sbx_template_copy_all(NULL, LIST("a"), "b", NULL), SBX_E_NOMEM);
    CHECK_INT(sbx_template_envs(NULL, (sbx_pairs){ 0 }), SBX_E_NOMEM);
    CHECK_INT(sbx_template_skip_cache(NULL), SBX_E_NOMEM);
    CHECK_INT(sbx_template_to_json(NULL, text_sink(&got)), SBX_E_NOMEM);
    CHECK_INT(sbx_template_to_dockerfile(NULL, text_sink(&got)), SBX_E_NOMEM);
    CHECK_INT(sbx_template_build(NULL, NULL, &info, NULL), SBX_E_NOMEM);
    CHECK(info == NULL);
    CHECK_INT(sbx_template_error(NULL)->status, SBX_E_NOMEM);
    sbx_template_release(NULL);
    pt_free(&got);
    rig_end(&r);
}

/* Memory that runs out anywhere sticks too, and leaks nothing. */
TEST(no_memory)
{
    unsigned long n, last = 1, failed = 0;
    for (n = 1; last; n++) {
        rig r;
        ptext got = { 0 };
        sbx_template *t;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        r.p->heap.failed = 0;
        r.p->heap.fail_at = r.p->heap.calls + n;
        all_steps(t);
        last = r.p->heap.failed;
        if (!last) CHECK_INT(sbx_template_error(t)->status, SBX_OK);
        else if (sbx_template_error(t)->status) failed++; /* else less was enough */
        sbx_template_release(t);
        pt_free(&got);
        rig_end(&r);
    }
    CHECK(failed > 15);
}

/* Sizes that do not fit are not asked for. */
static void *giving_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)old_size;
    if (!ptr && new_size < 100) return ctx;
    CHECK_INT(new_size, 0);
    return NULL;
}

TEST(room_for_a_step)
{
    static uint64_t room[20];
    sbx_alloc a = { giving_resize, room };
    CHECK(sbxi_step_room(&a, SIZE_MAX) == NULL);
    CHECK(sbxi_step_room(&a, 99) == (void *)room);
}

/* No more texts than it was given; a list of nothing is no step. */
TEST(texts_of_a_step)
{
    rig r;
    sbx_template *t;
    rig_start(&r);
    rig_open(&r);
    t = sbx_template_new(r.c);
    CHECK_INT(sbx_template_copy_all(t, (sbx_strings){ 0 }, "b", NULL), SBX_OK);
    CHECK_INT(t->count, 0);
    CHECK_INT(sbx_template_copy(t, "a", "b", NULL), SBX_OK);
    CHECK_INT(t->last->texts.count, 2);
    CHECK_INT(sbx_template_workdir(t, "a"), SBX_OK);
    CHECK_INT(t->last->texts.count, 1);
    sbx_template_release(t);
    rig_end(&r);
}

TEST(too_many_steps)
{
    rig r;
    sbx_template *t;
    unsigned i;
    rig_start(&r);
    rig_open(&r);
    t = sbx_template_new(r.c);
    for (i = 0; i < SBX_MAX_STEPS; i++) CHECK_INT(sbx_template_run(t, "x", NULL), SBX_OK);
    CHECK_INT(sbx_template_run(t, "x", NULL), SBX_E_TOO_LARGE);
    sbx_template_release(t);
    rig_end(&r);
}

/* A Dockerfile among the files. */
TEST(dockerfile_of_the_context)
{
    sbx_tree_file files[2];
    sbx_memory_tree memory;
    sbx_tree tree;
    rig r;
    ptext got = { 0 };
    sbx_template *t;
    memset(files, 0, sizeof files);
    memset(&memory, 0, sizeof memory);
    files[0].path = "sub/Dockerfile";
    files[0].data = "FROM x\nUSER a\nWORKDIR /b\n";
    files[0].len = strlen(files[0].data);
    files[1].path = "empty";
    files[1].data = "";
    memory.files = files;
    memory.count = 2;
    tree = sbx_tree_memory(&memory);
    rig_start(&r);
    rig_open(&r);
    t = sbx_template_new(r.c);
    CHECK_INT(sbx_template_context(t, &tree, NULL), SBX_OK);
    CHECK_INT(sbx_template_from_dockerfile_in(t, "sub/Dockerfile", NULL, NULL), SBX_OK);
    CHECK_INT(sbx_template_to_dockerfile(t, text_sink(&got)), SBX_OK);
    CHECK_STR(got.p, "FROM x\nUSER root\nWORKDIR /\nUSER a\nWORKDIR /b\n");
    CHECK_INT(sbx_template_from_dockerfile_in(t, "none", NULL, NULL), SBX_E_NOT_FOUND);
    CHECK(strstr(sbx_template_error(t)->message, "none") != NULL);
    sbx_template_release(t);
    t = sbx_template_new(r.c);
    CHECK_INT(sbx_template_from_dockerfile_in(t, "empty", NULL, NULL), SBX_E_ARG); /* no context */
    sbx_template_release(t);
    t = sbx_template_new(r.c);
    sbx_template_context(t, &tree, NULL);
    CHECK_INT(sbx_template_from_dockerfile_in(t, "empty", NULL, NULL), SBX_E_ARG); /* no FROM */
    sbx_template_release(t);
    CHECK_INT(sbx_template_from_dockerfile_in(NULL, "x", NULL, NULL), SBX_E_NOMEM);
    pt_free(&got);
    rig_end(&r);
}

/* ---- builds ----------------------------------------------------------------------------- */

typedef struct heard { ptext log, steps; sbx_op **cancel; int answer; } heard;

static int hear(void *ctx, const sbx_build_log *log)
{
    heard *h = ctx;
    pt_format(&h->log, "%s|%s%s%s\n", log->level ? log->level : "-", log->step ? log->step : "",
        log->step ? "|" : "", log->message);
    if (h->cancel && strstr(log->message, "stop")) sbx_op_cancel(*h->cancel);
    return strstr(log->message, "stop") ? h->answer : SBX_OK;
}

static void count(void *ctx, int32_t done, int32_t all)
{
    pt_format(&((heard *)ctx)->steps, "%d/%d ", (int)done, (int)all);
}

#define ASKED "POST /v3/templates "
#define START "POST /v2/templates/tpl/builds/bld "
#define STATUS(n) "GET /templates/tpl/builds/bld/status?logsOffset=" n "&limit=100 "
#define MADE "{\"templateID\":\"tpl\",\"buildID\":\"bld\",\"names\":[\"team/t\"]," \
    "\"tags\":[\"default\"],\"aliases\":[\"t\"],\"public\":false}"
#define STATE(state, entries) "{\"templateID\":\"tpl\",\"buildID\":\"bld\",\"status\":\"" state \
    "\",\"logs\":[\"x\"],\"logEntries\":[" entries "]}"
#define LINE(text) "{\"timestamp\":\"2025-01-01T00:00:00Z\",\"level\":\"info\"," \
    "\"message\":\"" text "\",\"step\":\"1\"}"

static const sbx_build_options named = { .name = "t:v1" };

TEST(a_build)
{
    unsigned way;
    for (way = 0; way < 2; way++) {
        turn turns[] = { { ASKED, 202, 0, MADE }, { START, 202, 0, "" },
            { STATUS("0"), 200, 0, STATE("waiting", "") },
            { STATUS("0"), 200, 0, STATE("building", LINE("one") "," LINE("\\u001b[1;31mtwo"
                "\\u001b[0m \\u001bM!\\u001b[")) },
            { STATUS("2"), 200, 0, STATE("building", "{\"message\":\"three\",\"step\":\"2\","
                "\"level\":\"info\"}") },
            { STATUS("3"), 200, 0, STATE("ready", "") } };
        rig r;
        heard h = { 0 };
        sbx_build_options o = { .name = "t:v1", .tags = LIST("a", "b"), .cpu_count = 4,
            .memory_mib = 2048, .disk_mib = 100, .skip_cache = SBX_YES, .log = hear,
            .progress = count, .ctx = &h };
        sbx_build_info *info = NULL;
        sbx_template *t;
        sbx_op *op;
        sbx_call call;
        BEGIN(&r, turns);
        call = polled(&r, &op);
        t = sbx_template_new(r.c);
        sbx_template_from_image(t, "ubuntu:22.04", NULL);
        sbx_template_run(t, "echo 1", NULL);
        sbx_template_run(t, "echo 2", NULL);
        if (way) {
            CHECK_INT(sbx_template_build(t, &o, &info, &call), SBX_PENDING);
            CHECK_INT(sbx_template_run(t, "late", NULL), SBX_E_REENTRANT);
            sbx_template_release(t); /* goes on */
            until_end(&r, op);
            CHECK_INT(sbx_op_status(op), SBX_OK);
            sbx_op_release(op);
        } else {
            CHECK_INT(sbx_template_build(t, &o, &info, NULL), SBX_OK);
            sbx_template_release(t);
        }
        CHECK_STR(r.p->request[0].body.p, "{\"name\":\"t:v1\",\"tags\":[\"a\",\"b\"],"
            "\"cpuCount\":4,\"memoryMB\":2048,\"minFreeDiskMb\":100}");
        CHECK_STR(r.p->request[1].body.p, "{\"fromImage\":\"ubuntu:22.04\",\"force\":true,"
            "\"steps\":[{\"type\":\"RUN\",\"args\":[\"echo 1\"],\"force\":false},"
            "{\"type\":\"RUN\",\"args\":[\"echo 2\"],\"force\":false}]}");
        CHECK_STR(h.steps.p, "1/2 2/2 ");
        pt_free(&h.steps);
        CHECK_STR(h.log.p, "debug|Build started\n"
            "info|Requesting build for template: t:v1 with tags: a, b\n"
            "info|Template created with ID: tpl, Build ID: bld\n"
            "info|All file uploads completed\ninfo|Starting building...\n"
            "info|Waiting for logs...\ninfo|1|one\ninfo|1|two !\ninfo|2|three\n"
            "debug|Build finished\n");
        if (CHECK(info != NULL)) {
            CHECK_STR(info->template_id, "tpl");
            CHECK_STR(info->build_id, "bld");
            CHECK_INT(info->status, SBX_BUILD_READY);
            CHECK_INT(info->tags.count, 1);
        }
        CHECK_INT(r.p->slept, 600);
        sbx_free(info);
        pt_free(&h.log);
        rig_end(&r);
    }
}

TEST(a_build_that_fails)
{
    turn turns[] = { { ASKED, 202, 0, MADE }, { START, 202, 0, "" },
        { STATUS("0"), 200, 0, "{\"templateID\":\"tpl\",\"buildID\":\"bld\",\"status\":\"error\","
            "\"logEntries\":[" LINE("x") "],\"reason\":{\"message\":\"it broke\",\"step\":\"1\","
            "\"logEntries\":[" LINE("x") "]}}" },
        { STATUS("1"), 200, 0, STATE("error", "") } };
    rig r;
    sbx_build_info *info = NULL;
    sbx_template *t;
    BEGIN(&r, turns);
    t = sbx_template_new(r.c);
    CHECK_INT(sbx_template_build(t, &named, &info, NULL), SBX_E_BUILD);
    CHECK(info == NULL);
    CHECK_STR(sbx_client_error(r.c)->message, "it broke");
    CHECK_STR(sbx_client_error(r.c)->code, "1");
    sbx_template_release(t);
    rig_end(&r);
}

/* Replies that lack what comes next need. */
TEST(replies_that_lack_something)
{
    static const struct { const char *made, *state; int rc; } rows[] = {
        { "{\"buildID\":\"bld\"}", NULL, SBX_E_PROTOCOL },
        { "{\"templateID\":\"tpl\"}", NULL, SBX_E_PROTOCOL },
        { "", NULL, SBX_E_PROTOCOL },
        { MADE, "{}", SBX_E_PROTOCOL },
        { MADE, STATE("melting", ""), SBX_E_PROTOCOL },
        { MADE, STATE("error", ""), SBX_E_BUILD }
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { ASKED, 202, 0, rows[i].made }, { START, 202, 0, "" },
            { STATUS("0"), 200, 0, rows[i].state } };
        rig r;
        sbx_template *t;
        test_row = rows[i].made;
        rig_start(&r);
        peer_script(r.p, turns, rows[i].state ? 3 : 1);
        rig_open(&r);
        t = sbx_template_new(r.c);
        CHECK_INT(sbx_template_build(t, &named, NULL, NULL), rows[i].rc);
        sbx_template_release(t);
        rig_end(&r);
    }
    test_row = NULL;
}

/* Nothing is sent for what is wrong with a call. */
TEST(options_of_a_build)
{
    static const struct { sbx_build_options o; int rc; const char *message; } rows[] = {
        { { .name = NULL }, SBX_E_ARG, "options.name" }, { { .name = "" }, SBX_E_ARG, "options.name" },
        { { .name = "t", .tags = { NULL, 1 } }, SBX_E_ARG, "a tag is" },
        { { .name = "t", .cpu_count = -1 }, SBX_E_ARG, "cpu_count" },
        { { .name = "t", .memory_mib = -1 }, SBX_E_ARG, "cpu_count" },
        { { .name = "t", .disk_mib = -1 }, SBX_E_ARG, "cpu_count" },
        { { .name = "t", .level = SBX_NEVER - 1 }, SBX_E_ARG, "level is" },
        { { .name = "t", .level = 10 }, SBX_E_ARG, "level is" },
        { { .name = "t", .level = SBX_NEVER }, SBX_OK, "" }, { { .name = "t", .level = 9 }, SBX_OK, "" } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { ASKED, 202, 0, MADE }, { START, 202, 0, "" } };
        rig r;
        sbx_template *t;
        rig_start(&r);
        peer_script(r.p, turns, rows[i].rc ? 0 : 2);
        rig_open(&r);
        t = sbx_template_new(r.c);
        CHECK_INT(sbx_template_build_start(t, &rows[i].o, NULL, NULL), rows[i].rc);
        CHECK_INT(r.p->requests, rows[i].rc ? 0 : 2);
        CHECK(strstr(sbx_client_error(r.c)->message, rows[i].message) != NULL);
        sbx_template_release(t);
        rig_end(&r);
    }
}

TEST(a_build_is_started_only)
{
    turn turns[] = { { ASKED, 202, 0, MADE }, { START, 202, 0, "" } };
    rig r;
    sbx_build_info *info = NULL;
    sbx_template *t;
    BEGIN(&r, turns);
    t = sbx_template_new(r.c);
    CHECK_INT(sbx_template_build_start(t, &named, &info, NULL), SBX_OK);
    REQUIRE(info);
    CHECK_STR(info->build_id, "bld");
    CHECK_INT(info->status, SBX_BUILD_WAITING);
    sbx_free(info);
    sbx_template_release(t);
    rig_end(&r);
}

/* By its id, from a line of the log on. */
TEST(a_build_by_id)
{
    turn turns[] = { { "GET /templates/team%2Ft/builds/bld/status?logsOffset=5&limit=100 ", 200, 0,
            STATE("building", LINE("a")) },
        { "GET /templates/tpl/builds/bld/status?logsOffset=0&limit=100 ", 200, 0,
            STATE("ready", "") } };
    rig r;
    heard h = { 0 };
    sbx_build_options o = { .log = hear, .ctx = &h };
    sbx_build_info *info = NULL;
    BEGIN(&r, turns);
    CHECK_INT(sbx_build_get_status(r.c, "team/t", "bld", 5, hear, &h, &info, NULL), SBX_OK);
    REQUIRE(info);
    CHECK_INT(info->status, SBX_BUILD_RUNNING);
    sbx_free(info);
    CHECK_INT(sbx_build_wait(r.c, "tpl", "bld", &o, &info, NULL), SBX_OK);
    REQUIRE(info);
    CHECK_INT(info->status, SBX_BUILD_READY);
    sbx_free(info);
    CHECK_STR(h.log.p, "info|1|a\ndebug|Build finished\n");
    CHECK_INT(sbx_build_wait(r.c, "", "bld", NULL, NULL, NULL), SBX_E_ARG);
    CHECK_INT(sbx_build_get_status(r.c, "t", "b", -1, NULL, NULL, NULL, NULL), SBX_E_ARG);
    pt_free(&h.log);
    rig_end(&r);
}

/* The callback ends the call, by its word or by cancelling. */
TEST(enough_of_the_log)
{
    unsigned way;
    for (way = 0; way < 2; way++) {
        turn turns[] = { { STATUS("0"), 200, 0, STATE("building", LINE("stop") "," LINE("b")) } };
        rig r;
        heard h = { 0 };
        sbx_build_options o = { .log = hear, .ctx = &h };
        sbx_op *op;
        sbx_call call;
        BEGIN(&r, turns);
        call = polled(&r, &op);
        if (way) h.cancel = &op;
        else h.answer = SBX_E_TOO_LARGE;
        CHECK_INT(sbx_build_wait(r.c, "tpl", "bld", &o, NULL, &call), SBX_PENDING);
        until_end(&r, op);
        CHECK_INT(sbx_op_status(op), way ? SBX_E_CANCELLED : SBX_E_TOO_LARGE);
        CHECK_STR(h.log.p, "info|1|stop\n");
        sbx_op_release(op);
        pt_free(&h.log);
        rig_end(&r);
    }
}

TEST(the_printer)
{
    static const sbx_build_log lines[] = { { 0, "debug", "d", NULL }, { 0, "info", "i", "2" },
        { 0, "warn", "w", NULL }, { 0, "error", "e", "base" }, { 0, NULL, "n", NULL },
        { 0, "odd", "o", NULL } };
    ptext got = { 0 };
    sbx_build_printer p = { 0 };
    size_t i;
    p.to = text_sink(&got);
    for (i = 0; i < 6; i++) CHECK_INT(sbx_build_print(&p, &lines[i]), SBX_OK);
    CHECK_STR(got.p, "2: i\n\x1B[33mw\x1B[0m\n\x1B[31mbase: e\x1B[0m\nn\no\n");
    p.plain = SBX_YES;
    p.least = "warn";
    p.to = text_sink(&got);
    for (i = 0; i < 6; i++) CHECK_INT(sbx_build_print(&p, &lines[i]), SBX_OK);
    CHECK_STR(got.p, "w\nbase: e\n");
    p.least = "debug";
    p.to = text_sink(&got);
    CHECK_INT(sbx_build_print(&p, &lines[0]), SBX_OK);
    CHECK_STR(got.p, "d\n");
    CHECK_INT(sbx_build_print(NULL, &lines[0]), SBX_E_ARG);
    CHECK_INT(sbx_build_print(&p, NULL), SBX_E_ARG);
    CHECK_INT(sbx_build_print(&p, &(sbx_build_log){ 0, "info", NULL, "1" }), SBX_E_ARG);
    p.to.put = NULL;
    CHECK_INT(sbx_build_print(&p, &lines[0]), SBX_E_ARG);
    pt_free(&got);
}

/* ---- templates of the service ------------------------------------------------------------- */

static int list_template(void *ctx, const sbx_template_info *info)
{
    pt_format(ctx, "%s %d %d %d %s\n", info->id, (int)info->status, (int)info->is_public,
        (int)info->cpu_count, info->names.count ? info->names.items[0] : "-");
    return SBX_OK;
}

static int list_build(void *ctx, const sbx_template_build_item *b)
{
    pt_format(ctx, "%s %d\n", b->build_id, (int)b->status);
    return SBX_OK;
}

static int list_tag(void *ctx, const sbx_template_tag *tag)
{
    pt_format(ctx, "%s %s\n", tag->tag, tag->build_id);
    return SBX_OK;
}

TEST(the_service)
{
    turn turns[] = { { "GET /templates/aliases/team%2Ft%3Av1 ", 404, 0, "{\"message\":\"no\"}" },
        { "GET /templates/aliases/theirs ", 403, 0, "{\"message\":\"not yours\"}" },
        { "GET /templates/aliases/mine ", 200, 0, "{\"templateID\":\"t\",\"public\":false}" },
        { "GET /v2/templates ", 200, 0, "[{\"templateID\":\"a\",\"buildStatus\":\"ready\","
            "\"public\":true,\"cpuCount\":2,\"names\":[\"team/a\"]},{\"templateID\":\"b\","
            "\"buildStatus\":\"error\",\"public\":false,\"cpuCount\":1}]" },
        { "GET /templates/a ", 200, "X-Next-Token: n2\r\n",
            "{\"templateID\":\"a\",\"builds\":[{\"buildID\":\"b1\",\"status\":\"building\"}]}" },
        { "GET /templates/a?nextToken=n2 ", 200, 0,
            "{\"templateID\":\"a\",\"builds\":[{\"buildID\":\"b0\",\"status\":\"ready\"}]}" },
        { "GET /templates/a/tags ", 200, 0, "[{\"tag\":\"v1\",\"buildID\":\"b0\"}]" },
        { "POST /templates/tags ", 201, 0, "{\"tags\":[\"x\",\"y\"],\"buildID\":\"b0\"}" },
        { "DELETE /templates/tags ", 204, 0, "" },
        { "PATCH /v2/templates/a ", 200, 0, "{\"names\":[]}" },
        { "DELETE /templates/a ", 204, 0, "" },
        { "DELETE /templates/a ", 404, 0, "{\"message\":\"gone\"}" } };
    rig r;
    ptext got = { 0 };
    bool yes = true;
    BEGIN(&r, turns);
    CHECK_INT(sbx_template_exists(r.c, "team/t:v1", &yes, NULL), SBX_OK);
    CHECK(!yes);
    CHECK_INT(sbx_template_exists(r.c, "theirs", &yes, NULL), SBX_OK);
    CHECK(yes);
    CHECK_INT(sbx_template_exists(r.c, "mine", &yes, NULL), SBX_OK);
    CHECK(yes);
    CHECK_INT(sbx_template_list(r.c, list_template, &got, NULL), SBX_OK);
    CHECK_INT(sbx_template_builds(r.c, "a", NULL, list_build, &got, NULL), SBX_OK);
    CHECK_INT(sbx_template_list_tags(r.c, "a", list_tag, &got, NULL), SBX_OK);
    CHECK_STR(got.p, "a 3 1 2 team/a\nb 4 2 1 -\nb1 2\nb0 3\nv1 b0\n");
    CHECK_INT(sbx_template_add_tags(r.c, "t:v1", LIST("x", "y"), NULL), SBX_OK);
    CHECK_STR(r.p->request[7].body.p, "{\"target\":\"t:v1\",\"tags\":[\"x\",\"y\"]}");
    CHECK_INT(sbx_template_remove_tags(r.c, "t", LIST("x"), NULL), SBX_OK);
    CHECK_STR(r.p->request[8].body.p, "{\"name\":\"t\",\"tags\":[\"x\"]}");
    CHECK_INT(sbx_template_set_public(r.c, "a", false, NULL), SBX_OK);
    CHECK_STR(r.p->request[9].body.p, "{\"public\":false}");
    CHECK_INT(sbx_template_delete(r.c, "a", &yes, NULL), SBX_OK);
    CHECK(yes);
    CHECK_INT(sbx_template_delete(r.c, "a", &yes, NULL), SBX_OK);
    CHECK(!yes);
    CHECK_INT(sbx_template_add_tags(r.c, "t", (sbx_strings){ 0 }, NULL), SBX_E_ARG);
    CHECK_INT(sbx_template_delete(r.c, "", NULL, NULL), SBX_E_ARG);
    CHECK_INT(sbx_template_list(r.c, NULL, NULL, NULL), SBX_E_ARG);
    pt_free(&got);
    rig_end(&r);
}

/* ---- files that go up ---------------------------------------------------------------------- */

#define ASK_FILES "GET /templates/tpl/files/"
#define GOES_TO(url) "{\"present\":false,\"url\":\"" url "\"}"
#define SIGNED "http://store.test:9000/up?X-Amz-Signature=5e7ec0de&x=1"

typedef struct store {      /* a context of one file, and what happens to it */
    heard h;
    rig *r;
    sbx_tree_file file;
    sbx_memory_tree state;
    sbx_tree tree, real;    /* the tree reads as it will */
    unsigned agains;        /* read() has nothing so often; UINT_MAX: never anything */
    unsigned slow_ms;       /* how long each takes */
    const char *change_at, *act_at; /* a line of the log: the file changes, something is done */
    unsigned reads, act_read; /* calls of read(); in this one it is done too */
    void (*act)(struct store *s);
    sbx_op *op;
    sbx_template *t;
    int progressed;
} store;

static int store_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    store *s = ctx;
    return s->real.next(s->real.ctx, dir, after, name, cap);
}
static int store_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    store *s = ctx;
    return s->real.stat(s->real.ctx, path, follow, out);
}
static int store_open(void *ctx, const char *path, void **file)
{
    store *s = ctx;
    return s->real.open(s->real.ctx, path, file);
}
static int store_read(void *ctx, void *file, void *buf, size_t cap, size_t *got)
{
    store *s = ctx;
    if (++s->reads == s->act_read) s->act(s);
    if (s->agains) {
        s->agains -= s->agains != UINT_MAX;
        return SBX_E_AGAIN;
    }
    s->r->p->now += s->slow_ms;
    return s->real.read(s->real.ctx, file, buf, cap, got);
}
static void store_close(void *ctx, void *file)
{
    store *s = ctx;
    s->real.close(s->real.ctx, file);
}

static int store_log(void *ctx, const sbx_build_log *log)
{
    store *s = ctx;
    if (s->change_at && strstr(log->message, s->change_at)) {
        s->file.data = "other";
        s->change_at = NULL;
    }
    if (s->act_at && strstr(log->message, s->act_at)) {
        s->act_at = NULL;
        s->act(s);
    }
    return SBX_OK;
}

static void store_progress(void *ctx, int32_t done, int32_t all)
{
    store *s = ctx;
    (void)all;
    if (s->act && done == s->progressed) s->act(s);
}

static sbx_build_options store_begin(store *s, rig *r)
{
    sbx_build_options o = { .name = "t", .log = store_log, .progress = store_progress };
    o.ctx = s;
    s->r = r;
    s->file.path = "a";
    s->file.data = "hello";
    s->file.len = 5;
    s->state.files = &s->file;
    s->state.count = 1;
    s->real = sbx_tree_memory(&s->state);
    s->tree = (sbx_tree){ store_next, store_stat, NULL, store_open, store_read, store_close, s };
    s->t = sbx_template_new(r->c);
    sbx_template_context(s->t, &s->tree, NULL);
    sbx_template_copy(s->t, "a", "/b", NULL);
    return o;
}

/* What differs from what was hashed must never lie there under that hash. */
TEST(a_file_changes_before_it_is_sent)
{
    turn turns[] = { { ASKED, 202, 0, MADE }, { ASK_FILES, 201, 0, GOES_TO(SIGNED) } };
    rig r;
    store s = { 0 };
    sbx_build_options o;
    BEGIN(&r, turns);
    o = store_begin(&s, &r);
    s.change_at = "Template created";
    CHECK_INT(sbx_template_build(s.t, &o, NULL, NULL), SBX_E_CHANGED);
    CHECK(strstr(sbx_client_error(r.c)->message, "a") != NULL);
    CHECK_INT(r.p->requests, 2);
    sbx_template_release(s.t);
    rig_end(&r);
}

/* An upload that is answered by 503 or cut is sent again from its beginning. */
TEST(an_upload_is_sent_again)
{
    unsigned way;
    for (way = 0; way < 3; way++) {
        turn turns[] = { { ASKED, 202, 0, MADE }, { ASK_FILES, 201, 0, GOES_TO(SIGNED) },
            { "PUT /up?X-Amz-Signature=5e7ec0de&x=1 ", 503, 0, "slow down",
                .lacks = "e2b_key" },
            { "PUT /up?X-Amz-Signature=5e7ec0de&x=1 ", 200, 0, "", .lacks = "e2b_key" },
            { START, 202, 0, "" } };
        rig r;
        store s = { 0 };
        sbx_build_options o;
        if (way == 1) turns[2].reset = true;
        if (way == 2) {
            turns[2].early = turns[2].shut = true;
            turns[2].early_body = 20;
        }
        BEGIN(&r, turns);
        o = store_begin(&s, &r);
        o.level = SBX_NEVER;
        CHECK_INT(sbx_template_build_start(s.t, &o, NULL, NULL), SBX_OK);
        CHECK_INT(r.p->request[3].body.len, 512 * 4);
        CHECK(memcmp(r.p->request[3].body.p, "a", 2) == 0);
        sbx_template_release(s.t);
        rig_end(&r);
    }
}

/* Where files are to go; and what the place answers. */
TEST(odd_places)
{
    static const struct { const char *reply, *expect; int status, rc; const char *headers; }
    rows[] = {
        { GOES_TO("ftp://x/y"), NULL, 0, SBX_E_PROTOCOL, NULL },
        { GOES_TO("http://"), NULL, 0, SBX_E_PROTOCOL, NULL },
        { GOES_TO("/only/a/path"), NULL, 0, SBX_E_PROTOCOL, NULL },
        { GOES_TO("http://h/a b"), NULL, 0, SBX_E_PROTOCOL, NULL },
        { GOES_TO("http://h/a\\r\\nX: y"), NULL, 0, SBX_E_PROTOCOL, NULL },
        { GOES_TO("http://h/a#b"), NULL, 0, SBX_E_PROTOCOL, NULL },
        { GOES_TO(""), NULL, 0, SBX_E_PROTOCOL, NULL },
        { "{\"present\":false}", NULL, 0, SBX_E_PROTOCOL, NULL },
        { "{\"present\":false,\"url\":null}", NULL, 0, SBX_E_PROTOCOL, NULL },
        { "{}", NULL, 0, SBX_E_PROTOCOL, NULL },
        { "[]", NULL, 0, SBX_E_PROTOCOL, NULL },
        { GOES_TO("http://h"), "PUT / ", 200, SBX_OK, NULL },
        { GOES_TO("http://h/p?q"), "PUT /p?q ", 400, SBX_E_REFUSED, NULL },
        { GOES_TO("http://h/p?q"), "PUT /p?q ", 500, SBX_E_SERVER, NULL },
        { GOES_TO("http://h/p?q"), "PUT /p?q ", 307, SBX_E_PROTOCOL,
            "Location: http://other/\r\n" },
        { "{\"present\":false,\"url\":\"http://h/p\",\"headers\":{\"x-goog\":\"1\","
            "\"Content-Length\":\"7\",\"Host\":\"evil\",\"Connection\":\"close\"}}",
            "PUT /p ", 200, SBX_OK, NULL },
        { "{\"present\":false,\"url\":\"http://h/p\",\"headers\":{\"a b\":\"1\"}}", NULL, 0,
            SBX_E_PROTOCOL, NULL },
        { "{\"present\":false,\"url\":\"http://h/p\",\"headers\":{\"a\":\"1\\r\\nb: c\"}}", NULL, 0,
            SBX_E_PROTOCOL, NULL }
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        turn turns[] = { { ASKED, 202, 0, MADE }, { ASK_FILES, 201, 0, rows[i].reply },
            { rows[i].expect, rows[i].status, rows[i].headers, "", .lacks = "evil" },
            { START, 202, 0, "" } };
        rig r;
        store s = { 0 };
        sbx_build_options o;
        char row[24];
        snprintf(row, sizeof row, "row %u", (unsigned)i);
        test_row = row;
        rig_start(&r);
        peer_script(r.p, turns, !rows[i].expect ? 2 : rows[i].rc ? 3 : 4);
        rig_open(&r);
        o = store_begin(&s, &r);
        CHECK_INT(sbx_template_build_start(s.t, &o, NULL, NULL), rows[i].rc);
        if (rows[i].rc && !CHECK(sbx_client_error(r.c)->message[0])) puts(rows[i].reply);
        sbx_template_release(s.t);
        rig_end(&r);
    }
    test_row = NULL;
}

/* The time of the call counts while files are read, also if they never come. */
TEST(files_that_take_too_long)
{
    unsigned way;
    for (way = 0; way < 2; way++) {
        rig r;
        store s = { 0 };
        sbx_build_options o;
        sbx_call call;
        rig_start(&r);
        rig_open(&r);
        call = polled(&r, &s.op);
        if (way) call.op = NULL;
        call.timeout_ms = 500;
        o = store_begin(&s, &r);
        s.agains = UINT_MAX;
        CHECK_INT(sbx_template_build(s.t, &o, NULL, &call), way ? SBX_E_TIMEOUT : SBX_PENDING);
        if (!way) {
            until_end(&r, s.op);
            CHECK_INT(sbx_op_status(s.op), SBX_E_TIMEOUT);
            sbx_op_release(s.op);
        }
        CHECK_INT(r.e.clock, SBX_CLOCK_TOTAL);
        CHECK_INT(r.p->slept, 500);
        CHECK_INT(r.p->requests, 0);
        sbx_template_release(s.t);
        rig_end(&r);
    }
}

static void act_cancel(store *s) { sbx_op_cancel(s->op); }
static void act_release(store *s)
{
    sbx_op_release(s->op);
    s->op = NULL;
}
static void act_let_go(store *s)
{
    sbx_template_release(s->t);
    s->t = NULL;
}
static void act_all(store *s)
{
    act_release(s);
    act_let_go(s);
}
static void act_nothing_for_a_while(store *s) { s->agains = 3; }

/* A file that has nothing for a while is asked again. */
TEST(files_that_come_late)
{
    turn turns[] = { { ASKED, 202, 0, MADE }, { ASK_FILES, 201, 0, "{\"present\":true}" },
        { START, 202, 0, "" } };
    rig r;
    store s = { 0 };
    ptext got = { 0 };
    sbx_build_options o;
    BEGIN(&r, turns);
    o = store_begin(&s, &r);
    s.agains = 7;
    CHECK_INT(sbx_template_build_start(s.t, &o, NULL, NULL), SBX_OK);
    CHECK_INT(r.p->slept, 70);
    s.agains = 1;
    CHECK_INT(sbx_template_to_json(s.t, text_sink(&got)), SBX_E_AGAIN);
    CHECK_STR(got.p, "");
    sbx_template_release(s.t);
    pt_free(&got);
    rig_end(&r);
}

/* So it is while the archive goes out: nobody has to wake the build. */
TEST(files_that_come_late_when_sent)
{
    unsigned way;
    for (way = 0; way < 2; way++) {
        turn turns[] = { { ASKED, 202, 0, MADE }, { ASK_FILES, 201, 0, GOES_TO(SIGNED) },
            { "PUT /up", 200, 0, "" }, { START, 202, 0, "" } };
        rig r;
        store s = { 0 };
        sbx_build_options o;
        sbx_call call;
        unsigned polls = 0;
        BEGIN(&r, turns);
        call = polled(&r, &s.op);
        o = store_begin(&s, &r);
        s.act = act_nothing_for_a_while;
        s.act_read = 5; /* two reads each: the hash, the count */
        if (way) {
            CHECK_INT(sbx_template_build_start(s.t, &o, NULL, &call), SBX_PENDING);
            while (sbx_op_status(s.op) == SBX_PENDING && polls < 100) {
                (void)sbx_poll(r.c, 60000, NULL);
                polls++;
            }
            CHECK_INT(sbx_op_status(s.op), SBX_OK);
            CHECK(polls < 20);
            sbx_op_release(s.op);
        } else {
            CHECK_INT(sbx_template_build_start(s.t, &o, NULL, NULL), SBX_OK);
        }
        CHECK_INT(r.p->slept, 20); /* the first of three had a block before it */
        CHECK_INT(s.reads, 6 + 3);
        sbx_template_release(s.t);
        rig_end(&r);
    }
}

static void act_twice(store *s)
{
    sbx_build_options o = { .name = "t" };
    sbx_op *op;
    sbx_call call = polled(s->r, &op);
    ptext got = { 0 };
    bool yes;
    CHECK_INT(sbx_poll(s->r->c, 0, NULL), SBX_E_REENTRANT);
    CHECK_INT(sbx_close(s->r->c), SBX_E_REENTRANT);
    CHECK_INT(sbx_template_exists(s->r->c, "x", &yes, NULL), SBX_E_REENTRANT);
    CHECK_INT(sbx_template_run(s->t, "x", NULL), SBX_E_REENTRANT);
    CHECK_INT(sbx_template_to_json(s->t, text_sink(&got)), SBX_E_REENTRANT);
    CHECK_INT(sbx_template_to_dockerfile(s->t, text_sink(&got)), SBX_E_REENTRANT);
    CHECK_INT(sbx_template_from_dockerfile_in(s->t, "a", NULL, NULL), SBX_E_REENTRANT);
    CHECK_INT(sbx_template_build(s->t, &o, NULL, &call), SBX_E_REENTRANT);
    pt_free(&got);
}

/* The tree is the user's: whatever its functions do, when they are called. */
TEST(trees_that_act)
{
    static void (*const acts[])(store *s) = { act_twice, act_cancel, act_release, act_let_go,
        act_all };
    size_t i, n, k;
    for (i = 0; i < 5; i++) for (n = 1; n <= 6; n++) {
        turn turns[] = { { ASKED, 202, 0, MADE, .always = true },
            { ASK_FILES, 201, 0, GOES_TO(SIGNED), .always = true },
            { "PUT /up", 200, 0, "", .always = true }, { START, 202, 0, "", .always = true } };
        rig r;
        store s = { 0 };
        sbx_build_options o;
        sbx_call call;
        BEGIN(&r, turns);
        for (k = 0; k < 4; k++) turns[k].used = 1;
        call = polled(&r, &s.op);
        o = store_begin(&s, &r);
        s.act = acts[i];
        s.act_read = (unsigned)n;
        s.progressed = -1;
        CHECK_INT(sbx_template_build_start(s.t, &o, NULL, &call), SBX_PENDING);
        for (k = 0; k < 100; k++) (void)sbx_poll(r.c, 60000, NULL);
        CHECK(s.reads >= n);
        if (s.op) CHECK_INT(sbx_op_status(s.op), i == 1 ? SBX_E_CANCELLED : SBX_OK);
        sbx_op_release(s.op);
        sbx_template_release(s.t);
        rig_end(&r);
    }
}

/* So it is while a template tells what it is. */
TEST(what_is_said_is_not_interrupted)
{
    rig r;
    store s = { 0 };
    ptext got = { 0 };
    rig_start(&r);
    rig_open(&r);
    (void)store_begin(&s, &r);
    s.act = act_twice;
    s.act_read = 1;
    CHECK_INT(sbx_template_to_json(s.t, text_sink(&got)), SBX_OK);
    CHECK_INT(s.reads, 2);
    s.act_read = 3;
    CHECK_INT(sbx_template_from_dockerfile_in(s.t, "a", NULL, NULL), SBX_E_ARG);
    CHECK(s.reads >= 3);
    sbx_template_release(s.t);
    s.act_read = 0;
    (void)store_begin(&s, &r); /* what is wrong now is told, not what was */
    sbx_template_copy(s.t, "first", "/", NULL);
    CHECK_INT(sbx_template_to_json(s.t, text_sink(&got)), SBX_E_NOT_FOUND);
    CHECK(strncmp(sbx_client_error(r.c)->message, "first: ", 7) == 0);
    sbx_template_release(s.t);
    (void)store_begin(&s, &r);
    sbx_template_copy(s.t, "second", "/", NULL);
    CHECK_INT(sbx_template_to_json(s.t, text_sink(&got)), SBX_E_NOT_FOUND);
    CHECK(strncmp(sbx_client_error(r.c)->message, "second: ", 8) == 0);
    sbx_template_release(s.t);
    pt_free(&got);
    rig_end(&r);
}

/* A callback cancels the build, releases its handle, its template, or both. */
TEST(callbacks_that_act)
{
    static void (*const acts[])(store *s) = { act_cancel, act_release, act_let_go, act_all };
    static const char *const lines[] = { "Build started", "Requesting", "Template created",
        "Uploaded", "All file uploads", "Starting", "Waiting", "one", "Build finished", "" };
    size_t i, n;
    for (i = 0; i < 4; i++) for (n = 0; n < 10 + 4; n++) {
        turn turns[] = { { ASKED, 202, 0, MADE, .always = true },
            { ASK_FILES, 201, 0, GOES_TO(SIGNED), .always = true },
            { "PUT /up", 200, 0, "", .always = true }, { START, 202, 0, "", .always = true },
            { STATUS("0"), 200, 0, STATE("ready", LINE("one")), .always = true },
            { STATUS("1"), 200, 0, STATE("ready", ""), .always = true } };
        rig r;
        store s = { 0 };
        sbx_build_options o;
        sbx_build_info *info = NULL;
        sbx_call call;
        size_t k;
        BEGIN(&r, turns);
        for (k = 0; k < 6; k++) turns[k].used = 1;
        call = polled(&r, &s.op);
        o = store_begin(&s, &r);
        sbx_template_run(s.t, "x", NULL);
        s.act = acts[i];
        if (n < 10) s.act_at = lines[n];
        s.progressed = n < 10 ? -1 : (int)n - 9;
        CHECK_INT(sbx_template_build(s.t, &o, &info, &call), SBX_PENDING);
        for (k = 0; k < 300; k++) (void)sbx_poll(r.c, 60000, NULL);
        if (i == 0 && n != 9 && s.op) CHECK(sbx_op_status(s.op) == SBX_E_CANCELLED || n > 10);
        if (i == 2) CHECK_INT(sbx_op_status(s.op), SBX_OK);
        sbx_free(info);
        sbx_op_release(s.op);
        sbx_template_release(s.t);
        rig_end(&r);
    }
}

/* Given up from outside after every number of turns: cancelled, released, closed. */
TEST(given_up_anywhere)
{
    unsigned way, n;
    for (way = 0; way < 4; way++) for (n = 0; n < 60; n++) {
        turn turns[] = { { ASKED, 202, 0, MADE }, { ASK_FILES, 201, 0, GOES_TO(SIGNED) },
            { "PUT /up", 200, 0, "" }, { START, 202, 0, "" },
            { STATUS("0"), 200, 0, STATE("ready", LINE("one")) },
            { STATUS("1"), 200, 0, STATE("ready", "") } };
        rig r;
        store s = { 0 };
        sbx_build_options o;
        sbx_build_info *info = NULL;
        sbx_call call;
        size_t k;
        BEGIN(&r, turns);
        r.p->would_block = true;
        call = polled(&r, &s.op);
        o = store_begin(&s, &r);
        s.agains = 2;
        CHECK_INT(sbx_template_build(s.t, &o, &info, &call), SBX_PENDING);
        for (k = 0; k < n; k++) (void)sbx_poll(r.c, 60000, NULL);
        if (way != 2) sbx_template_release(s.t);
        if (way == 0) sbx_op_cancel(s.op);
        if (way == 1) sbx_op_release(s.op);
        if (way == 2) {
            sbx_op_release(s.op);
            (void)drive(&r, 1000);
            CHECK_INT(sbx_template_run(s.t, "free again", NULL), SBX_OK);
            sbx_template_release(s.t);
        }
        if (way == 0) {
            until_end(&r, s.op);
            CHECK(sbx_op_status(s.op) != SBX_PENDING);
            sbx_op_release(s.op);
        } /* way 3: closed in the middle */
        for (k = 0; k < 6; k++) turns[k].used = 1;
        sbx_free(info);
        rig_end(&r);
    }
}

/* ---- what would only be found when something was sent ---------------------------------------- */

static int bad_text(sbx_template *t) { return sbx_template_run(t, "a\xFF", NULL); }
static int bad_user(sbx_template *t) { return sbx_template_run(t, "a", OPT(.user = "\xC3")); }
static int bad_branch(sbx_template *t)
{
    return sbx_template_git_clone(t, "u", NULL, OPT(.branch = "\xC0\x80"));
}
static int bad_value(sbx_template *t) { return sbx_template_envs(t, PAIRS({ "A", "\x80" })); }
static int bad_file(sbx_template *t)
{
    static const char text[] = "FROM x\nRUN a\xFF\n";
    return sbx_template_from_dockerfile(t, text, sizeof text - 1, NULL, NULL);
}

/* Texts are UTF-8: what is not is refused where it is added, also in a Dockerfile. */
TEST(texts_that_are_no_utf8)
{
    static int (*const adds[])(sbx_template *t) = { bad_text, bad_user, bad_branch, bad_value,
        bad_file };
    size_t i;
    for (i = 0; i < sizeof adds / sizeof *adds; i++) {
        rig r;
        sbx_template *t;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        CHECK_INT(adds[i](t), SBX_E_ARG);
        if (!CHECK(strstr(sbx_template_error(t)->message, "UTF-8") != NULL))
            puts(sbx_template_error(t)->message);
        sbx_template_release(t);
        rig_end(&r);
    }
}

/* But of what is left out nothing is sent: names of files are bytes. */
TEST(patterns_that_are_no_utf8)
{
    sbx_memory_tree memory = { 0 };
    sbx_tree tree = sbx_tree_memory(&memory);
    rig r;
    sbx_template *t;
    rig_start(&r);
    rig_open(&r);
    t = sbx_template_new(r.c);
    CHECK_INT(sbx_template_context(t, &tree, &LIST("a\xFF")), SBX_OK);
    sbx_template_release(t);
    rig_end(&r);
}

/* More than a request can hold is found before anything is sent, and says so. */
TEST(more_than_a_request_holds)
{
    rig r;
    sbx_template *t;
    char *big = malloc(SBX_MAX_REQUEST / 100 + 1);
    unsigned i;
    REQUIRE(big);
    memset(big, 'x', SBX_MAX_REQUEST / 100);
    big[SBX_MAX_REQUEST / 100] = 0;
    rig_start(&r);
    rig_open(&r);
    t = sbx_template_new(r.c);
    for (i = 0; i < 100; i++) CHECK_INT(sbx_template_run(t, big, NULL), SBX_OK);
    CHECK_INT(sbx_template_build(t, &named, NULL, NULL), SBX_E_TOO_LARGE);
    CHECK_INT(r.p->requests, 0);
    CHECK(strstr(sbx_client_error(r.c)->message, "SBX_MAX_REQUEST") != NULL);
    sbx_template_release(t);
    free(big);
    rig_end(&r);
}

/* Without a template the error of the call still says what happened. */
TEST(the_error_without_a_template)
{
    sbx_error e = { 0 };
    sbx_op *op = (sbx_op *)&e;
    sbx_call call = { .error = &e, .op = &op };
    CHECK_INT(sbx_template_build(NULL, &named, NULL, &call), SBX_E_NOMEM);
    CHECK_INT(e.status, SBX_E_NOMEM);
    CHECK(e.message[0]);
    CHECK(op == NULL);
}

/* Memory that runs out is never said to be a wrong argument. */
TEST(no_memory_for_an_image)
{
    unsigned n, failed = 0;
    for (n = 1; n < 6; n++) {
        rig r;
        sbx_template *t;
        int rc;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        r.p->heap.failed = 0;
        r.p->heap.fail_on = true;
        r.p->heap.fail_at = r.p->heap.calls + n;
        rc = sbx_template_from(t, SBX_IMAGE_NODE, "20");
        CHECK(rc == SBX_OK || (r.p->heap.failed && rc == SBX_E_NOMEM)); /* or less was enough */
        CHECK_INT(sbx_template_error(t)->status, rc);
        CHECK_INT(sbx_template_error(t)->message[0] != 0, rc != SBX_OK);
        failed += rc != SBX_OK;
        r.p->heap.fail_on = false;
        sbx_template_release(t);
        rig_end(&r);
    }
    CHECK(failed > 1);
}

/* ---- callbacks of the builder ------------------------------------------------------------------ */

typedef struct nosy { sbx_template *t; int run, build; bool done; } nosy;

static void nosy_act(nosy *n)
{
    if (n->done) return;
    n->done = true;
    n->run = sbx_template_run(n->t, "x", NULL);
    sbx_template_release(n->t);
}
static void nosy_notice(void *ctx, int line, const char *text)
{
    (void)line;
    (void)text;
    nosy_act(ctx);
}
static int nosy_put(void *ctx, const void *data, size_t len)
{
    (void)data;
    (void)len;
    nosy_act(ctx);
    return SBX_OK;
}

/* What is told what a template says may let go of it. */
TEST(released_by_who_is_told)
{
    static const char file[] = "FROM x\nSHELL [\"a\"]\nRUN b\n";
    unsigned way;
    for (way = 0; way < 4; way++) {
        sbx_tree_file one = { .path = "D", .data = file, .len = sizeof file - 1 };
        sbx_memory_tree state = { .files = &one, .count = 1 };
        sbx_tree tree = sbx_tree_memory(&state);
        rig r;
        nosy n = { 0 };
        sbx_sink to = { nosy_put, &n };
        rig_start(&r);
        rig_open(&r);
        n.t = sbx_template_new(r.c);
        if (way == 0)
            CHECK_INT(sbx_template_from_dockerfile(n.t, file, sizeof file - 1, nosy_notice, &n),
                SBX_OK);
        if (way == 1) CHECK_INT(sbx_template_to_json(n.t, to), SBX_OK);
        if (way == 2) CHECK_INT(sbx_template_to_dockerfile(n.t, to), SBX_OK);
        if (way == 3) {
            CHECK_INT(sbx_template_context(n.t, &tree, NULL), SBX_OK);
            CHECK_INT(sbx_template_from_dockerfile_in(n.t, "D", nosy_notice, &n), SBX_OK);
        }
        CHECK(n.done);
        CHECK_INT(n.run, SBX_E_REENTRANT);
        rig_end(&r);
    }
}

/* ---- secrets -------------------------------------------------------------------------------- */

static void traced(void *ctx, uint32_t exchange, sbx_trace_part part, const char *text, size_t len)
{
    (void)exchange;
    (void)part;
    for (; len; len--, text++) pt_add(ctx, *text ? text : "0", 1);
}

/* Neither logins of registries nor signatures of places are in the trace. */
TEST(secrets_stay_out_of_the_trace)
{
    unsigned way;
    for (way = 0; way < 3; way++) {
        turn turns[] = { { ASKED, 202, 0, MADE }, { ASK_FILES, 201, 0,
                "{\"present\":false,\"url\":\"http://store.test/up?a=1&sig=hush1&X-Amz-Signature"
                "=hush2&X-Amz-Security-Token=hush3\",\"headers\":{\"x-auth-token\":\"hush4\"}}" },
            { "PUT /up", 200, 0, "" }, { START, 202, 0, "" } };
        sbx_registry logins[] = { { .username = "u", .password = "hush5" },
            { .aws_access_key_id = "hush6", .aws_secret_access_key = "hush7",
                .aws_region = "r" },
            { .gcp_service_account_json = "{\"private_key\": \"hush8\", \"x\": \"y\"}" } };
        rig r;
        ptext got = { 0 };
        sbx_trace trace = { 0 };
        store s = { 0 };
        sbx_build_options o;
        trace.put = traced;
        trace.ctx = &got;
        pt_put(&got, "");
        rig_start(&r);
        peer_script(r.p, turns, 4);
        r.g.trace = &trace;
        rig_open(&r);
        o = store_begin(&s, &r);
        sbx_template_from_image(s.t, "i", &logins[way]);
        CHECK_INT(sbx_template_build_start(s.t, &o, NULL, NULL), SBX_OK);
        CHECK(strstr(got.p, "fromImageRegistry") != NULL);
        if (!CHECK(strstr(got.p, "hush") == NULL)) puts(strstr(got.p, "hush"));
        sbx_template_release(s.t);
        pt_free(&got);
        rig_end(&r);
    }
}

/* A line without a level is one of information. */
TEST(a_line_without_a_level)
{
    turn turns[] = { { STATUS("0"), 200, 0, STATE("ready", "{\"message\":\"m\"},{}") },
        { STATUS("2"), 200, 0, STATE("ready", "") } };
    rig r;
    heard h = { 0 };
    sbx_build_options o = { .log = hear, .ctx = &h };
    BEGIN(&r, turns);
    CHECK_INT(sbx_build_wait(r.c, "tpl", "bld", &o, NULL, NULL), SBX_OK);
    CHECK_STR(h.log.p, "info|m\ndebug|Build finished\n");
    pt_free(&h.log);
    rig_end(&r);
}

/* Time is up in the middle of a file that is large. */
TEST(a_file_that_takes_too_long)
{
    rig r;
    store s = { 0 };
    sbx_build_options o;
    sbx_call call = { .timeout_ms = 1000 };
    uint64_t began;
    rig_start(&r);
    rig_open(&r);
    o = store_begin(&s, &r);
    s.file.len = 1000000;
    s.file.data = calloc(1, s.file.len);
    REQUIRE(s.file.data);
    s.slow_ms = 2;
    began = r.p->now;
    CHECK_INT(sbx_template_build(s.t, &o, NULL, &call), SBX_E_TIMEOUT);
    CHECK_INT(sbx_client_error(r.c)->clock, SBX_CLOCK_TOTAL);
    CHECK(r.p->now - began < 2000);
    sbx_template_release(s.t);
    free((void *)(size_t)s.file.data);
    rig_end(&r);
}

/* What ends a Dockerfile early is told, with the line it is on and not with the
   instruction before it. */
TEST(dockerfiles_that_end_early)
{
    static const struct { const char *text; size_t len; const char *message; } rows[] = {
#define FILE_(text, message) { text, sizeof text - 1, message }
        FILE_("# escape=x\nFROM y\n", "line 1: escape must be \\ or `"),
        FILE_("FROM x\nRUN a\nRUN b\0c\n", "line 3: a NUL byte"),
        FILE_("FROM x\nAAAAAAAABBBBBBBBCCCCCCCCDDDDDDDD\nRUN y\n",
            "line 2: ?: unknown instruction"),
        FILE_("FROM x\nAAAAAAAABBBBBBBBCCCCCCCCDDDDDDDDE y\n", "line 2: ?: unknown instruction"),
        FILE_("FROM x\nRUN <<A\n", "line 2: RUN: unterminated heredoc"),
        FILE_("\xEF\xBB\xBF", "a Dockerfile needs a FROM"),
        FILE_("", "a Dockerfile needs a FROM")
#undef FILE_
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        rig r;
        sbx_template *t;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        CHECK_INT(sbx_template_from_dockerfile(t, rows[i].text, rows[i].len, NULL, NULL),
            SBX_E_ARG);
        CHECK_STR(sbx_template_error(t)->message, rows[i].message);
        sbx_template_release(t);
        rig_end(&r);
    }
}

/* Lines, words, flags and heredocs of Dockerfiles, to the letter. */
static const struct { const char *text; size_t len; int rc; const char *has; } letters[] = {
#define FILE_(text, rc, has) { text, sizeof text - 1, rc, has }
    FILE_("\xEF\xBB\xBF" "FROM bom", SBX_OK, "\"fromImage\":\"bom\""),
    FILE_("# foo=bar\nFROM x\n", SBX_OK, "x"),
    FILE_("# escape=`\nFROM x\nRUN a `\n b\n", SBX_OK, "\"a  b\""),
    FILE_("# escape=\\\nFROM x\nRUN a \\\n b\n", SBX_OK, "\"a  b\""),
    FILE_("# escape=ab\nFROM x\n", SBX_E_ARG, "escape must be"),
    FILE_("# no directive\nFROM x\n#\n \t\nRUN a \t\n", SBX_OK, "\"a\""),
    FILE_("FROM x\nRUN a \\\n\n# c\n  b\n", SBX_OK, "\"a   b\""),
    FILE_("FROM x\n\\\n", SBX_E_ARG, "unknown instruction"),
    FILE_("FROM x\n\\\nRUN y\n", SBX_OK, "\"y\""),
    FILE_("FROM x\nRUN y\\\\\nRUN z\n", SBX_OK, "\"y\\\\\\\\\""),
    FILE_("FROM x\nRUN y \\\n z\0\n", SBX_E_ARG, "a NUL byte"),
    FILE_("FROM x\nENV A=b\\\\\\\n", SBX_OK, "\"A\",\"b\\\\\\\\\""),
    FILE_("FROM x\nENV A='a\\b' B=\"a\\\"b\\$c\\\\d\\e\" C=a\\ b\n", SBX_OK,
        "\"A\",\"a\\\\b\",\"B\",\"a\\\"b$c\\\\d\\\\e\",\"C\",\"a b\""),
    FILE_("FROM x\nENV A=\"\\\\x\"\n", SBX_OK, "\"A\",\"\\\\x\""),
    FILE_("FROM x\nRUN [1]\n", SBX_OK, "\"[1]\""),
    FILE_("FROM x\nRUN [\"a\\u0000\"]\n", SBX_OK, "\"[\\\"a\\\\u0000\\\"]\""),
    FILE_("FROM x\nRUN [] []\n", SBX_OK, "\"[] []\""),
    FILE_("FROM x\nRUN [\"a b\", \"c\"]\n", SBX_OK, "\"'a b' c\""),
    FILE_("FROM x\nRUN --mount=a --network -- c\n", SBX_OK, "\"c\""),
    FILE_("FROM x\nRUN <ab <a< 3<<-'E' <<<no\n\tone\n\tE\n", SBX_OK, "one"),
    FILE_("FROM x\nRUN <<A\na\0\nA\n", SBX_E_ARG, "a NUL byte"),
    FILE_("FROM x\nRUN <<A <<A <<A <<A <<A <<A <<A <<A\nA\nA\nA\nA\nA\nA\nA\nA\n", SBX_OK, "<<A"),
    FILE_("FROM x\nRUN <<A <<A <<A <<A <<A <<A <<A <<A <<A\nA\nA\nA\nA\nA\nA\nA\nA\nA\n", SBX_E_ARG,
        "more than 8 heredocs"),
    FILE_("# syntax=a\r\nFROM x\r\r\nRUN a \r\n\r\nADD b c\r\n", SBX_OK, "\"b\",\"c\""),
    FILE_("FROM x\nRUN -a\n", SBX_OK, "\"-a\""),
    FILE_("FROM x\nRUN 12 a<<<b <<- <<a<b\n", SBX_OK, "12 a<<<b"),
    FILE_("FROM x\nRUN <<-A\n\t\n\tA\n", SBX_OK, "RUN"),
    FILE_("FROM x\nRUN a b <<A c\n", SBX_E_ARG, "unterminated heredoc"),
    FILE_("FROM x\nru{n y\n", SBX_E_ARG, "RU{N: unknown instruction"),
    FILE_("FROM x\nCOPY --| a b\n", SBX_E_ARG, "COPY: unknown flag: |"),
    FILE_("FROM x\nCOPY --link| a b\n", SBX_E_ARG, "COPY: unknown flag: link|"),
    FILE_("FROM x\nCOPY --chmod=0644 <<\"E\" /f\nb\nE\n", SBX_OK, "chmod 644")
#undef FILE_
};

TEST(dockerfiles_to_the_letter)
{
    size_t i;
    for (i = 0; i < sizeof letters / sizeof *letters; i++) {
        rig r;
        ptext got = { 0 };
        const char *said;
        sbx_template *t;
        int rc;
        test_row = letters[i].has;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        rc = sbx_template_from_dockerfile(t, letters[i].text, letters[i].len, NULL, NULL);
        CHECK_INT(rc, letters[i].rc);
        if (rc == SBX_OK) CHECK_INT(sbx_template_to_json(t, text_sink(&got)), SBX_OK);
        said = rc == SBX_OK ? got.p : sbx_template_error(t)->message;
        if (!CHECK(strstr(said, letters[i].has) != NULL)) puts(said);
        sbx_template_release(t);
        pt_free(&got);
        rig_end(&r);
    }
    test_row = NULL;
}

/* Memory that runs out, once or for good, anywhere in one that has everything. */
TEST(dockerfiles_without_memory)
{
    ptext file = { 0 };
    unsigned long n, last;
    unsigned on, i, failed = 0;
    pt_put(&file, "FROM x\nENV A=1 B='2 3'\nRUN --mount=a [\"a b\", \"c\"]\nCOPY --chown=u a b /c\n"
        "RUN <<A <<B\n");
    for (i = 0; i < 300; i++) pt_put(&file, "a line of a heredoc that grows and grows\n");
    pt_put(&file, "A\nb\nB\nRUN a");
    for (i = 0; i < 300; i++) pt_put(&file, " and more of it \\\n");
    pt_put(&file, "end\nENV LONG=");
    for (i = 0; i < 3000; i++) pt_put(&file, "xy");
    pt_put(&file, "\nRUN --mount="); /* longer than all words before it */
    for (i = 0; i < 5000; i++) pt_put(&file, "xy");
    pt_put(&file, " [\"a\", \"");
    for (i = 0; i < 12000; i++) pt_put(&file, "xy");
    pt_put(&file, "\"]\nARG MODE=0640\nCOPY --chmod=$MODE d /e\nCMD x\nENTRYPOINT [\"y\"]\n");
    for (on = 0; on < 2; on++) for (n = 1, last = 1; last; n++) {
        rig r;
        ptext got = { 0 };
        sbx_template *t;
        int rc;
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        r.p->heap.failed = 0;
        r.p->heap.fail_on = on;
        r.p->heap.fail_at = r.p->heap.calls + n;
        rc = sbx_template_from_dockerfile(t, file.p, file.len, NULL, NULL);
        last = r.p->heap.failed;
        r.p->heap.fail_on = false;
        r.p->heap.fail_at = 0;
        CHECK(rc == SBX_OK || (last && rc == SBX_E_NOMEM));
        CHECK_INT(sbx_template_error(t)->status, rc);
        failed += rc != SBX_OK;
        if (rc == SBX_OK) { /* less was enough, for all of it */
            CHECK_INT(sbx_template_to_json(t, text_sink(&got)), SBX_OK);
            CHECK(strstr(got.p, "\"startCmd\":\"y /bin/sh -c x\"") != NULL);
            CHECK(strstr(got.p, "[\"d\",\"/e\",\"\",\"0640\"]") != NULL);
        }
        pt_free(&got);
        sbx_template_release(t);
        rig_end(&r);
    }
    CHECK(failed > 20);
    pt_free(&file);
}

/* Two builds of one template would share its files: one after the other. */
TEST(two_builds_at_once)
{
    turn turns[] = { { ASKED, 202, 0, MADE }, { START, 202, 0, "" }, { ASKED, 202, 0, MADE },
        { START, 202, 0, "" } };
    rig r;
    sbx_op *one, *two;
    sbx_call call;
    sbx_template *t;
    BEGIN(&r, turns);
    t = sbx_template_new(r.c);
    call = polled(&r, &one);
    CHECK_INT(sbx_template_build_start(t, &named, NULL, &call), SBX_PENDING);
    CHECK_INT(sbx_template_build_start(t, &named, NULL, NULL), SBX_E_REENTRANT);
    CHECK(strstr(sbx_client_error(r.c)->message, "a build of this template runs") != NULL);
    CHECK_INT(sbx_template_user(t, "x"), SBX_E_REENTRANT);
    until_end(&r, one);
    CHECK_INT(sbx_op_status(one), SBX_OK);
    sbx_op_release(one);
    call = polled(&r, &two);
    CHECK_INT(sbx_template_build_start(t, &named, NULL, &call), SBX_PENDING);
    sbx_template_release(t);
    until_end(&r, two);
    CHECK_INT(sbx_op_status(two), SBX_OK);
    sbx_op_release(two);
    rig_end(&r);
}

/* What a --chown is too long for ends the line there, with too few words or enough. */
TEST(an_owner_that_is_too_long)
{
    static const char *const ends[] = { "", " a", " a b", " [\"a\"]" };
    size_t i;
    for (i = 0; i < sizeof ends / sizeof *ends; i++) {
        rig r;
        ptext file = { 0 };
        sbx_template *t;
        size_t n;
        test_row = ends[i];
        pt_put(&file, "FROM x\nCOPY --chown=");
        for (n = 0; n < SBX_MAX_LINE; n++) pt_put(&file, "u");
        pt_put(&file, ends[i]);
        rig_start(&r);
        rig_open(&r);
        t = sbx_template_new(r.c);
        CHECK_INT(sbx_template_from_dockerfile(t, file.p, file.len, NULL, NULL), SBX_E_TOO_LARGE);
        sbx_template_release(t);
        pt_free(&file);
        rig_end(&r);
    }
    test_row = NULL;
}

/* Names without values take more room than their line. */
TEST(more_words_than_there_is_room_for)
{
    size_t n = SBX_MAX_REQUEST / 2 - 100, i;
    char *file = malloc(11 + 2 * n);
    rig r;
    sbx_template *t;
    REQUIRE(file);
    memcpy(file, "FROM x\nARG", 10);
    for (i = 0; i < n; i++) memcpy(file + 10 + 2 * i, " A", 2);
    rig_start(&r);
    rig_open(&r);
    t = sbx_template_new(r.c);
    CHECK_INT(sbx_template_from_dockerfile(t, file, 10 + 2 * n, NULL, NULL), SBX_E_TOO_LARGE);
    sbx_template_release(t);
    free(file);
    rig_end(&r);
}
