"""tar_check.py DIR extract|list - reads DIR/tar by Python's tarfile, GNU tar and bsdtar,
compares with DIR/list (hex of name, target, owner, group; type, size, mtime, mode, uid,
gid), and removes DIR. A tool that is not there is named, never passed over in silence."""
import os
import shutil
import subprocess
import sys
import tarfile

work, how = os.path.abspath(sys.argv[1]), sys.argv[2]
archive = os.path.join(work, "tar")
problems = []


def want_of(line):
    words = line.split()
    texts = [bytes.fromhex(w[1:]) for w in words[:4]]
    texts[0] = texts[0].rstrip(b"/")
    return texts + [words[4]] + [int(w) for w in words[5:]]


def complain(who, name, what, got, want):
    problems.append("%s: %r: %s is %r, not %r" % (who, name[:60], what, got, want))


def content(size):
    return bytes((size + i) & 255 for i in range(size))


def by_tarfile(wants):
    kinds = {"0": tarfile.REGTYPE, "2": tarfile.SYMTYPE, "5": tarfile.DIRTYPE}
    raw = lambda text: text.encode("utf-8", "surrogateescape")
    with tarfile.open(archive, encoding="utf-8", errors="surrogateescape") as t:
        members = t.getmembers()
        if len(members) != len(wants):
            problems.append("tarfile finds %d members of %d" % (len(members), len(wants)))
        for m, (name, link, user, group, kind, size, mtime, mode, uid, gid) in zip(members, wants):
            found = (raw(m.name), raw(m.linkname), raw(m.uname), raw(m.gname), m.type, m.size,
                     m.mtime, m.mode, m.uid, m.gid)
            meant = (name, link, user, group, kinds[kind], size, mtime, mode & 0o7777, uid, gid)
            for what, got, want in zip("name link user group type size mtime mode uid gid".split(),
                                       found, meant):
                if got != want:
                    complain("tarfile", name, what, got, want)
            if kind == "0" and t.extractfile(m).read() != content(size):
                problems.append("tarfile: %r has another content" % name)


def by_tool(tool, wants):
    if not shutil.which(tool):
        print("%s: skipped (not here)" % tool)
        return
    to = os.path.join(work, "by-" + tool)
    os.mkdir(to)
    flags = ["-xpf", archive, "-C", to] if how == "extract" else ["-tf", archive]
    run = subprocess.run([tool] + flags, capture_output=True)
    # GNU tar takes such names as they are, and says that it does not know the mark.
    said = [l for l in run.stderr.splitlines() if not l.endswith(b"keyword 'hdrcharset'")]
    if run.returncode or said:
        problems.append("%s says %r" % (tool, run.stderr[:400]))
    if how == "list":
        lines = [w[0] for w in wants]
        if run.stdout.split() != lines:
            problems.append("%s lists %r, not %r" % (tool, run.stdout.split(), lines))
        return
    for name, link, _, _, kind, size, mtime, mode, _, _ in wants:
        path = os.path.join(to.encode(), name)
        try:
            s = os.lstat(path)
        except OSError as e:
            problems.append("%s: %r: %s" % (tool, name, e))
            continue
        if kind == "2":
            if os.readlink(path) != link:
                complain(tool, name, "target", os.readlink(path), link)
            continue
        if s.st_mode & 0o7777 != mode & 0o7777:
            complain(tool, name, "mode", oct(s.st_mode), oct(mode))
        if int(s.st_mtime) != mtime:
            complain(tool, name, "mtime", s.st_mtime, mtime)
        if kind == "5":
            if not os.path.isdir(path):
                problems.append("%s: %r is no directory" % (tool, name))
            continue
        os.chmod(path, 0o600)
        with open(path, "rb") as f:
            if f.read() != content(size):
                problems.append("%s: %r has another content" % (tool, name))


with open(os.path.join(work, "list")) as f:
    entries = [want_of(line) for line in f]
by_tarfile(entries)
by_tool("tar", entries)
by_tool("bsdtar", entries)
shutil.rmtree(work)
for problem in problems[:20]:
    print(problem)
sys.exit(bool(problems))
