/* sandboxd: the lower trees of the overlays, made once at start.

   The minimal tree holds no program: /usr of this system is mounted read-only
   into it. Of /etc it gets what programs need to run (loader cache, alternatives,
   certificates, names), nothing that belongs to this system's users. */
#include "fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define MAX_DEPTH 40

static const char *const top_dirs[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };

static int copy_file(int from, const char *name, int to, const struct stat *st)
{
    int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out;
    char buf[65536];
    ssize_t n = -1;

    if (in < 0)
        return -1;
    out = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, st->st_mode & 0755);
    if (out >= 0) {
        while ((n = read(in, buf, sizeof buf)) > 0)
            if (write_all(out, buf, (size_t)n) != 0)
                break;
        close(out);
    }
    close(in);
    return n == 0 ? 0 : -1;
}

static void copy_entry(int from, const char *name, int to, int depth)
{
    char target[4096];
    struct stat st;
    struct dirent *e;
    ssize_t n;
    DIR *d;
    int sub, made;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISREG(st.st_mode)) {
        copy_file(from, name, to, &st);
    } else if (S_ISLNK(st.st_mode)) {
        n = readlinkat(from, name, target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            if (symlinkat(target, to, name) != 0 && errno != EEXIST)
                log_at(2, "base tree: link %s: %s", name, strerror(errno));
        }
    } else if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH) {
        if (mkdirat(to, name, 0755) != 0 && errno != EEXIST)
            return;
        sub = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        made = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        d = sub >= 0 ? fdopendir(sub) : NULL;
        while (d && made >= 0 && (e = readdir(d)))
            if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, "private"))
                copy_entry(dirfd(d), e->d_name, made, depth + 1);
        if (d)
            closedir(d);
        else if (sub >= 0)
            close(sub);
        if (made >= 0)
            close(made);
    }
}

static void put_file(int root, const char *path, mode_t mode, const char *content)
{
    int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0 || write_all(fd, content, strlen(content)) != 0)
        die("cannot write %s of the base tree: %s", path, strerror(errno));
    close(fd);
}

static void put_dir(int root, const char *path, mode_t mode)
{
    if (mkdirat(root, path, mode) != 0 && errno != EEXIST)
        die("cannot make %s of the base tree: %s", path, strerror(errno));
    if (fchmodat(root, path, mode, 0) != 0)
        die("cannot set the mode of %s: %s", path, strerror(errno));
}

static void put_home(int root)
{
    put_dir(root, "home", 0755);
    put_dir(root, "home/user", 0755);
}

/* On rung 2 the host's own id is the user inside. */
static uid_t user_outside(void)
{
    return conf.rung == 2 ? conf.uid : USER_UID;
}

void base_tree_own_homes(void)
{
    char path[400];

    for (int i = 0; i < conf.image_count && conf.uid == 0; i++) {
        snprintf(path, sizeof path, "%s/image%d/home/user", conf.state, i);
        if (lchown(path, user_outside(), user_outside()) != 0)
            log_at(1, "cannot give %s to the user: %s", path, strerror(errno));
    }
}

#define PASSWD_ROOT "root:x:0:0:root:/root:/bin/bash\n"
#define PASSWD_USER "user:x:1000:1000::/home/user:/bin/bash\n"
#define HOSTS "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n"

/* /bin and friends: links into /usr as here, or directories to mount on. */
static void put_top_dirs(int root)
{
    char at[64], link[256];

    for (size_t i = 0; i < sizeof top_dirs / sizeof *top_dirs; i++) {
        struct stat st;
        ssize_t n;

        snprintf(at, sizeof at, "/%s", top_dirs[i]);
        if (lstat(at, &st) != 0)
            continue;
        n = S_ISLNK(st.st_mode) ? readlink(at, link, sizeof link - 1) : 0;
        if (n > 0) {
            link[n] = '\0';
            if (symlinkat(link, root, top_dirs[i]) != 0 && errno != EEXIST)
                die("cannot make /%s: %s", top_dirs[i], strerror(errno));
        } else if (S_ISDIR(st.st_mode)) {
            put_dir(root, top_dirs[i], 0755); /* mounted like /usr */
        }
    }
}

static void put_etc(int root)
{
    static const char *const files[][2] = {
        { "etc/passwd", PASSWD_ROOT "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
          PASSWD_USER "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" },
        { "etc/group", "root:x:0:\ndaemon:x:1:\ntty:x:5:\nuser:x:1000:\n"
          "users:x:100:\nnogroup:x:65534:\n" },
        { "etc/hosts", HOSTS },
        { "etc/hostname", "sandbox\n" },
        { "etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n" },
        { "etc/profile", "umask 022\n[ -n \"$PS1\" ] && PS1='\\u@\\h:\\w\\$ '\n:\n" },
        { "etc/os-release", "ID=sandboxd\nNAME=sandboxd\n"
          "PRETTY_NAME=\"sandboxd (programs of the host system)\"\n" } };

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put_file(root, files[i][0], 0644, files[i][1]);
    put_file(root, "etc/shadow", 0640, "root:*:19000:0:99999:7:::\nuser:*:19000:0:99999:7:::\n");
}

static void copy_etc(int root)
{
    static const char *const names[] = { "alternatives", "ssl", "pki", "ca-certificates",
        "ca-certificates.conf", "crypto-policies", "ld.so.cache", "ld.so.conf",
        "ld.so.conf.d", "localtime", "resolv.conf", "services", "protocols", "mime.types",
        "login.defs", "terminfo", "python3", "perl" };
    int from = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to = openat(root, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char link[256], content[8192];

    for (size_t i = 0; from >= 0 && to >= 0 && i < sizeof names / sizeof *names; i++)
        copy_entry(from, names[i], to, 0);
    /* resolv.conf is often a link into /run: the sandbox needs its content. */
    if (to >= 0 && readlinkat(to, "resolv.conf", link, sizeof link) > 0) {
        unlinkat(to, "resolv.conf", 0);
        put_file(to, "resolv.conf", 0644, read_small(AT_FDCWD, "/etc/resolv.conf", content,
                                                     sizeof content) > 0 ? content : "");
    }
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
}

static void minimal_tree(const char *path)
{
    static const char *const dirs[] = { "usr", "proc", "dev", "etc", "run", "mnt", "srv", "opt",
        "var", "var/lib", "var/log", "var/cache", "media" };
    int root;

    mkdir(path, 0755);
    root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        die("cannot make %s: %s", path, strerror(errno));
    put_dir(root, ".", 0755);
    put_top_dirs(root);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        put_dir(root, dirs[i], 0755);
    put_dir(root, "root", 0700);
    put_dir(root, "tmp", 01777);
    put_dir(root, "var/tmp", 01777);
    put_home(root);
    put_etc(root);
    copy_etc(root);
    close(root);
}

/* What an image's own tree lacks: the user, its home, names. */
static void image_tree(const char *path, const char *tree)
{
    static const char *const dirs[] = { "proc", "dev", "etc", "run" };
    static const char *const files[] = { "etc/passwd", "etc/group" };
    static const char *const lines[] = { PASSWD_USER, "user:x:1000:\n" };
    int from = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC), root;
    char *content = xalloc(1 << 20);

    if (from < 0)
        die("--image: cannot open %s: %s", tree, strerror(errno));
    mkdir(path, 0755);
    root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        die("cannot make %s: %s", path, strerror(errno));
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        put_dir(root, dirs[i], 0755);
    put_dir(root, "tmp", 01777);
    put_home(root);
    for (size_t i = 0; i < 2; i++) {
        if (read_small(from, files[i], content, (1 << 20) - 100) < 0)
            strcpy(content, i == 0 ? PASSWD_ROOT : "root:x:0:\n");
        if (strncmp(content, "user:", 5) && !strstr(content, "\nuser:")) {
            size_t n = strlen(content);

            if (n > 0 && content[n - 1] != '\n')
                content[n++] = '\n';
            strcpy(content + n, lines[i]);
        }
        put_file(root, files[i], 0644, content);
    }
    put_file(root, "etc/hosts", 0644, HOSTS);
    put_file(root, "etc/resolv.conf", 0644,
             read_small(AT_FDCWD, "/etc/resolv.conf", content, 8192) > 0 ? content : "");
    free(content);
    close(from);
    close(root);
}

void base_tree_make(void)
{
    char path[400];

    for (int i = 0; i < conf.image_count; i++) {
        image *im = &conf.images[i];

        snprintf(path, sizeof path, "%s/image%d", conf.state, i);
        if (im->tree[0]) {
            image_tree(path, im->tree);
        } else {
            minimal_tree(path);
        }
        strcpy(im->lower, path); /* room for both: see their sizes */
        if (im->tree[0])
            strcat(strcat(im->lower, ":"), im->tree);
    }
}

/* Rung 3 has no mounts: commands see this system's files, and write only here. */
void base_tree_rung3(const char *path)
{
    static const char *const dirs[] = { "etc", "root", "home", "var" };
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        mkdirat(root, dirs[i], 0755);
    mkdirat(root, "tmp", 0777);
    fchmodat(root, "tmp", 01777, 0);
    put_home(root);
    if (conf.uid == 0 && fchownat(root, "home/user", USER_UID, USER_UID, 0) != 0)
        log_at(1, "cannot give /home/user to the user: %s", strerror(errno));
    put_file(root, "etc/passwd", 0644, PASSWD_ROOT PASSWD_USER);
    put_file(root, "etc/group", 0644, "root:x:0:\nuser:x:1000:\n");
    close(root);
}

/* Removes what has not that file in it, or all of a state that does not stay. True:
   the directory is gone. */
static bool clean_dir(const char *name, const char *kept_by)
{
    char path[400], at[700];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "%s/%s", conf.state, name);
    if (conf.state_is_temp)
        return fs_remove_path(path);
    d = opendir(path);
    while (d && (e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(at, sizeof at, "%s/%s/%s", path, e->d_name, kept_by);
        if (access(at, F_OK) == 0)
            continue;
        snprintf(at, sizeof at, "%s/%s", path, e->d_name);
        fs_remove_path(at);
    }
    if (d)
        closedir(d);
    return rmdir(path) == 0 || errno == ENOENT;
}

/* Only what a host makes, without what is to stay: --state may name
   a directory that stays. */
void state_clean(bool with_lock)
{
    char path[400];
    bool empty = clean_dir("boxes", "box.json");

    empty &= clean_dir("snapshots", "snapshot.json");
    empty &= clean_dir("templates", "template.json");
    empty &= clean_dir("layers", "layer.json");
    empty &= clean_dir("uploads", "data");
    for (int i = 0; i < MAX_IMAGES; i++) {
        snprintf(path, sizeof path, "%s/image%d", conf.state, i);
        fs_remove_path(path);
    }
    if (!with_lock || !empty)
        return; /* the lock marks the directory as ours */
    snprintf(path, sizeof path, "%s/lock", conf.state);
    unlink(path);
    if (conf.state_is_temp)
        rmdir(conf.state);
}
