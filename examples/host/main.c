/* sandboxd - a local host for sandbox.h: speaks E2B's protocols, runs sandboxes on
   this machine. main.c: options, start, signals, end. */
#include "api_e2b.h"
#include "fault.h"
#include "template.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <dirent.h>
#include <sys/stat.h>

config conf = { .bind = "127.0.0.1", .api_key = DEFAULT_KEY, .max_sandboxes = 1000,
                .memory_mib = 2048, .max_procs = 2048, .templates_mib = 8192,
                .build_seconds = 3600, .log_level = 1 };

static const char help[] =
    "sandboxd " HOST_VERSION ": a local sandbox host with E2B's protocols\n"
    "\n"
    "usage: sandboxd [options]\n"
    "  --port N            port to listen on; 0, the default: any, printed\n"
    "  --bind ADDR         address to listen on (127.0.0.1)\n"
    "  --tls-cert F        serve https: certificate chain, PEM\n"
    "  --tls-key F         its key, PEM\n"
    "  --state DIR         where sandboxes live; paused ones, snapshots and templates\n"
    "                      stay there when the host ends. Default: a new directory in $TMPDIR or\n"
    "                      /tmp, removed at the end\n"
    "  --api-key KEY       key that clients must show; default, for local use:\n"
    "                      " DEFAULT_KEY "\n"
    "  --image REF=TREE    a further template: its name, and a directory with a\n"
    "                      root file system (repeatable)\n"
    "  --max-sandboxes N   at the same time (1000)\n"
    "  --rate N            requests a second to the API, as many at once; the others get\n"
    "                      429 with Retry-After. 0: no limit (0)\n"
    "  --memory-mib N      memory of a sandbox, 0: no limit (2048)\n"
    "  --max-procs N       processes of a sandbox, 0: no limit (2048)\n"
    "  --disk-mib N        files of a sandbox live in memory, at most so many MiB;\n"
    "                      default: on the disk of --state, no limit\n"
    "  --templates-mib N   uploads and layers of all templates, 0: no limit (8192)\n"
    "  --build-seconds N   time for the build of a template (3600)\n"
    "  --isolation M       auto (default), or the rung of the ladder to insist on:\n"
    "                      1 root, 2 user namespaces, 3 a directory\n"
    "  --network M         of sandboxes with internet: shared (default; this machine's: two\n"
    "                      cannot take the same port), own (by slirp4netns, which must be\n"
    "                      here, with /dev/net/tun) or auto (own where that works)\n"
    "  --fault SPEC        a misfortune for the next requests, to test a client with\n"
    "                      (repeatable; see below)\n"
    "  --log-level L       error, info (default), debug\n"
    "  --ready-file F      write the URL to F once requests are served\n"
    "  --help, --version\n"
    "\n";
static const char help_end[] =
    "\n"
    "Point clients at it:  E2B_API_KEY=KEY E2B_API_URL=http://127.0.0.1:N\n"
    "                      E2B_SANDBOX_URL=http://127.0.0.1:N\n"
    "It ends on SIGINT or SIGTERM, and every sandbox with it.\n";

static const char magic[] = "sandboxd state, removed when the host ends\n";
static int lock_fd = -1;

/* ---- options ---- */
static int number(const char *option, const char *s, int min, int max)
{
    char *end;
    long v = strtol(s, &end, 10);

    if (!*s || *end || v < min || v > max)
        die("%s: '%s' is not a number from %d to %d", option, s, min, max);
    return (int)v;
}

static void set_text(const char *option, char *out, size_t cap, const char *s)
{
    if (!*s || (size_t)snprintf(out, cap, "%s", s) >= cap)
        die("%s: empty or longer than %zu bytes", option, cap - 1);
}

static void add_image(const char *name, size_t name_len, const char *tree)
{
    image *im = &conf.images[conf.image_count];
    unsigned char hash[32];
    sbx_sha256 s;

    if (conf.image_count == MAX_IMAGES)
        die("--image: at most %d", MAX_IMAGES - 1);
    if (name_len == 0 || name_len >= sizeof im->name)
        die("--image: the name before '=' must have 1 to %zu bytes", sizeof im->name - 1);
    memcpy(im->name, name, name_len);
    im->name[name_len] = '\0';
    if (*tree) {
        char *real = realpath(tree, NULL);

        if (!real || strlen(real) >= sizeof im->tree || strpbrk(real, ":,\\"))
            die("--image %s: '%s' is no directory that can be used", im->name, tree);
        strcpy(im->tree, real);
        free(real);
    }
    sbx_sha256_init(&s);
    sbx_sha256_add(&s, im->name, name_len);
    sbx_sha256_end(&s, hash);
    for (int i = 0; i < 20; i++)
        im->template_id[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[hash[i] % 36];
    conf.image_count++;
}

static void set_option(const char *o, const char *v)
{
    if (!strcmp(o, "--port"))
        conf.port = number(o, v, 0, 65535);
    else if (!strcmp(o, "--bind"))
        set_text(o, conf.bind, sizeof conf.bind, v);
    else if (!strcmp(o, "--tls-cert"))
        conf.tls_cert = xstrdup(v);
    else if (!strcmp(o, "--tls-key"))
        conf.tls_key = xstrdup(v);
    else if (!strcmp(o, "--state"))
        set_text(o, conf.state, sizeof conf.state, v);
    else if (!strcmp(o, "--api-key"))
        set_text(o, conf.api_key, sizeof conf.api_key, v);
    else if (!strcmp(o, "--image") && strchr(v, '='))
        add_image(v, (size_t)(strchr(v, '=') - v), strchr(v, '=') + 1);
    else if (!strcmp(o, "--max-sandboxes"))
        conf.max_sandboxes = number(o, v, 1, 100000);
    else if (!strcmp(o, "--rate"))
        conf.rate = number(o, v, 0, 1000000);
    else if (!strcmp(o, "--memory-mib"))
        conf.memory_mib = number(o, v, 0, 1 << 20);
    else if (!strcmp(o, "--max-procs"))
        conf.max_procs = number(o, v, 0, 1 << 20);
    else if (!strcmp(o, "--disk-mib"))
        conf.disk_mib = number(o, v, 1, 1 << 20);
    else if (!strcmp(o, "--templates-mib"))
        conf.templates_mib = number(o, v, 0, 1 << 20);
    else if (!strcmp(o, "--build-seconds"))
        conf.build_seconds = number(o, v, 1, 86400);
    else if (!strcmp(o, "--isolation"))
        conf.isolation = !strcmp(v, "auto") ? 0 : number(o, v, 1, 3);
    else if (!strcmp(o, "--network") && (!strcmp(v, "own") || !strcmp(v, "auto")))
        conf.network = *v == 'o' ? NET_OWN : NET_AUTO;
    else if (!strcmp(o, "--network") && !strcmp(v, "shared"))
        conf.network = NET_SHARED;
    else if (!strcmp(o, "--fault"))
        fault_add(v);
    else if (!strcmp(o, "--log-level") && !strcmp(v, "error"))
        conf.log_level = 0;
    else if (!strcmp(o, "--log-level") && !strcmp(v, "info"))
        conf.log_level = 1;
    else if (!strcmp(o, "--log-level") && !strcmp(v, "debug"))
        conf.log_level = 2;
    else if (!strcmp(o, "--ready-file"))
        conf.ready_file = xstrdup(v);
    else
        die("%s %s: not an option (see --help)", o, v);
}

static void read_options(int argc, char **argv)
{
    add_image("base", 4, "");
    for (int i = 1; i < argc; i++) {
        char *eq = strchr(argv[i], '=');

        if (!strcmp(argv[i], "--help")) {
            printf("%s%s%s", help, fault_help, help_end);
            exit(0);
        }
        if (!strcmp(argv[i], "--version")) {
            puts("sandboxd " HOST_VERSION);
            exit(0);
        }
        if (!strncmp(argv[i], "--", 2) && eq) {
            *eq = '\0';
            set_option(argv[i], eq + 1);
        } else if (i + 1 < argc && !strncmp(argv[i], "--", 2)) {
            set_option(argv[i], argv[i + 1]);
            i++;
        } else {
            die("%s: %s (see --help)", argv[i], strncmp(argv[i], "--", 2) ? "not an option"
                : "its value is missing");
        }
    }
    /* The processes of this program, and sandboxes see one of them, must not show
       the key in their command line. */
    conf.title = argv[0];
    for (int i = 0; i < argc; i++)
        conf.title_len = (size_t)(argv[i] + strlen(argv[i]) - argv[0]);
    if (!conf.tls_cert != !conf.tls_key)
        die("--tls-cert and --tls-key belong together");
}

/* ---- state directory ---- */

/* True: the directory is ours now. */
static bool take_lock(const char *dir)
{
    char path[400];

    snprintf(path, sizeof path, "%s/lock", dir);
    lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_fd < 0 || flock(lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (lock_fd >= 0)
            close(lock_fd);
        lock_fd = -1;
        return false;
    }
    return true;
}

static bool holds_only_ours(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    bool ok = true, marked = false;

    while (d && (e = readdir(d))) {
        marked |= !strcmp(e->d_name, "lock");
        ok &= e->d_name[0] == '.';
    }
    if (d)
        closedir(d);
    return ok || marked;
}

/* Directories of hosts that were killed together with their helper. */
static void clean_leftovers(const char *tmp)
{
    DIR *d = opendir(tmp);
    struct dirent *e;
    struct stat st;
    char text[sizeof magic + 8], path[300];

    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, "sandboxd-", 9) || strlen(e->d_name) != 15 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode) ||
            st.st_uid != conf.uid)
            continue;
        snprintf(path, sizeof path, "%s/lock", e->d_name);
        if (read_small(dirfd(d), path, text, sizeof text) < 0 || strcmp(text, magic))
            continue;
        snprintf(conf.state, sizeof conf.state, "%.200s/%.20s", tmp, e->d_name);
        if (!take_lock(conf.state))
            continue;
        conf.state_is_temp = true;
        log_at(1, "removing %s, left by a host that was killed", conf.state);
        state_clean(true);
        close(lock_fd);
    }
    conf.state[0] = '\0';
    conf.state_is_temp = false;
    if (d)
        closedir(d);
}

static void open_state(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[400], *real;

    if (!tmp || !*tmp)
        tmp = "/tmp";
    if (!conf.state[0]) {
        clean_leftovers(tmp);
        if (snprintf(conf.state, sizeof conf.state, "%s/sandboxd-XXXXXX", tmp) >=
            (int)sizeof conf.state || !mkdtemp(conf.state))
            die("cannot make a directory in %s: %s", tmp, strerror(errno));
        conf.state_is_temp = true;
    } else if (mkdir(conf.state, 0711) != 0 && errno != EEXIST) {
        die("--state %s: %s", conf.state, strerror(errno));
    }
    real = realpath(conf.state, NULL);
    if (!real || strlen(real) > 200 || strpbrk(real, ":,\\"))
        die("--state %s: cannot be used (too long, or it has : , or \\ in it)", conf.state);
    strcpy(conf.state, real);
    free(real);
    if (!conf.state_is_temp && !holds_only_ours(conf.state))
        die("--state %s: there are other files in it; name an empty directory", conf.state);
    /* The helper of a killed host may still be cleaning up. */
    for (int tries = 0; !take_lock(conf.state) && tries < 100; tries++)
        usleep(50000);
    if (lock_fd < 0)
        die("--state %s: in use by another sandboxd, or not writable", conf.state);
    if (write_all(lock_fd, magic, sizeof magic - 1) != 0)
        die("--state %s: %s", conf.state, strerror(errno));
    state_clean(false); /* what a killed host left */
    if (conf.state_is_temp)
        chmod(conf.state, 0711);
    snprintf(path, sizeof path, "%s/boxes", conf.state);
    if (mkdir(path, 0711) != 0 && errno != EEXIST)
        die("%s: %s", path, strerror(errno));
    base_tree_make();
}

/* On rung 3 a sandbox's users are users of this machine: run by root, they must be
   able to pass through every directory above the state. */
static void check_way_to_state(void)
{
    char path[sizeof conf.state];
    struct stat st;

    if (conf.rung != 3 || geteuid() != 0)
        return;
    strcpy(path, conf.state);
    for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (stat(path, &st) == 0 && !(st.st_mode & S_IXOTH))
            die("--state %s: other users cannot pass through %s; isolation rung 3 needs that "
                "(chmod o+x it, or name another --state)", conf.state, path);
    }
}

/* ---- listening ---- */
static int open_port(void)
{
    struct sockaddr_storage a;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    socklen_t len;
    int fd, on = 1;

    memset(&a, 0, sizeof a);
    if (inet_pton(AF_INET, conf.bind, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)conf.port);
        len = sizeof *v4;
    } else if (inet_pton(AF_INET6, conf.bind, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)conf.port);
        len = sizeof *v6;
    } else {
        die("--bind: '%s' is not an address", conf.bind);
    }
    fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("cannot listen on %s port %d: %s", conf.bind, conf.port, strerror(errno));
    conf.port = ntohs(a.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    return fd;
}

static char *load_pem(const char *path)
{
    char *text = xalloc(1 << 20);

    if (read_small(AT_FDCWD, path, text, 1 << 20) <= 0)
        die("cannot read %s: %s", path, errno ? strerror(errno) : "empty or too large");
    return text;
}

static void announce(void)
{
    char url[200];
    bool v6 = strchr(conf.bind, ':') != NULL;

    snprintf(url, sizeof url, "http%s://%s%s%s:%d", conf.tls_cert ? "s" : "", v6 ? "[" : "",
             conf.bind, v6 ? "]" : "", conf.port);
    printf("sandboxd: listening on %s\n", url);
    fflush(stdout);
    log_at(1, "isolation rung %s; cgroups: %s; state in %s", conf.rung_notes, cgroup_note(),
           conf.state);
    if (strncmp(conf.bind, "127.", 4) && strcmp(conf.bind, "::1"))
        log_at(0, "warning: other machines can reach this port");
    if (conf.ready_file) {
        char temp[600];

        snprintf(temp, sizeof temp, "%.500s.part", conf.ready_file);
        strcat(url, "\n");
        if (!write_text(temp, url) || rename(temp, conf.ready_file) != 0)
            log_at(0, "--ready-file %s: %s", conf.ready_file, strerror(errno));
    }
}

static void raise_limits(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv)
{
    char *cert = NULL, *key = NULL;
    int listen_fd, sock, sig;
    pid_t zygote;
    sigset_t end;

    read_options(argc, argv);
    conf.uid = geteuid();
    conf.gid = getegid();
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    open_state();
    cgroup_probe();
    sock = zygote_start(&zygote);
    check_way_to_state();
    /* After the fork: the zygote must hold neither the key nor the port. */
    if (conf.tls_cert) {
        cert = load_pem(conf.tls_cert);
        key = load_pem(conf.tls_key);
    }
    listen_fd = open_port();
    /* From here on the zygote cleans up if we die. Signals go to this thread only. */
    sigemptyset(&end);
    sigaddset(&end, SIGINT);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &end, NULL);
    if (boxes_start(sock, zygote) != 0)
        die("cannot start a thread");
    if (!http_start(listen_fd, cert, key))
        die("cannot serve%s", conf.tls_cert ? ": are certificate and key right?" : "");
    announce();
    sigwait(&end, &sig);
    log_at(1, "%s: ending %d sandboxes", strsignal(sig), boxes_count());
    templates_stop();
    boxes_stop();
    http_stop();
    idempotency_free();
    boxes_close();
    templates_free();
    state_clean(true);
    if (conf.ready_file)
        unlink(conf.ready_file);
    free(cert);
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
    log_at(1, "ended");
    return 0;
}
