#!/usr/bin/env python3
"""Checks the templates of sandboxd from outside: builds, their logs, files, tags, limits.

usage: template_check.py [--sandboxd PATH] [--isolation 1|2|3] [FILTER]

As host_check.py, whose tools it uses: its own hosts, the same last line.
"""
import io, os, re, signal, subprocess, sys, tarfile, tempfile, shutil, threading, time

sys.dont_write_bytecode = True
import host_check as H
from host_check import Box, Host, Skip, check, same

H.TESTS.clear()
test = H.test
COUNT = 0


def walled(fn):
    """Rung 3 has this machine's files in its view, and users of other names."""
    def run_it():
        if H.host.rung == 3:
            raise Skip("rung 3 has no root directory of its own")
        fn()
    run_it.__name__, run_it.inner = fn.__name__, fn
    return H.test(run_it)


def fresh():
    global COUNT
    COUNT += 1
    return f"t{COUNT}-{os.getpid()}"


def tar(entries, packed=True):
    """entries: (name, bytes or TarInfo changes)"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if packed else "w", format=tarfile.PAX_FORMAT) as t:
        for name, what, *mode in entries:
            i = tarfile.TarInfo(name)
            i.mode = mode[0] if mode else 0o644
            if isinstance(what, bytes):
                i.size = len(what)
                t.addfile(i, io.BytesIO(what))
            else:
                for k, v in what.items():
                    setattr(i, k, v)
                if i.isdir():
                    i.mode = mode[0] if mode else 0o755
                t.addfile(i)
    return out.getvalue()


DIR = {"type": tarfile.DIRTYPE}


def link(to):
    return {"type": tarfile.SYMTYPE, "linkname": to}


def run(*args):
    return {"type": "RUN", "args": list(args)}


def step(kind, *args, **more):
    return {"type": kind, "args": list(args), **more}


class Build:
    def __init__(self, host, name=None, **more):
        self.host, self.name = host, name or fresh()
        s, self.made, _ = host.json("POST", "/v3/templates", {"name": self.name, **more})
        same(s, 202, self.made)
        self.id, self.build = self.made["templateID"], self.made["buildID"]

    def files(self, hash):
        return self.host.json("GET", f"/templates/{self.id}/files/{hash}")[:2]

    def put(self, url, data, headers=None):
        path = url[url.index("/", 8):]
        return self.host.call("PUT", path, data, headers, key=False)

    def upload(self, data, hash=None):
        hash = hash or H.hashlib.sha256(data + self.name.encode()).hexdigest()
        s, f = self.files(hash)
        check(s == 201 and f["present"] is False, f)
        same(self.put(f["url"], data)[0], 200)
        return hash

    def copy(self, data, src, dest, *more, **k):
        return step("COPY", src, dest, *more, filesHash=self.upload(data), **k)

    def begin(self, *steps, **more):
        if "fromTemplate" not in more:
            more.setdefault("fromImage", "e2bdev/base")
        return self.host.json("POST", f"/v2/templates/{self.id}/builds/{self.build}",
                              {"steps": list(steps), **more})[:2]

    def status(self, query=""):
        s, b, _ = self.host.json("GET", f"/templates/{self.id}/builds/{self.build}/status?" + query)
        same(s, 200, b)
        return b

    def wait(self, seconds=90):
        end = time.time() + seconds
        while time.time() < end:
            b = self.status()
            if b["status"] not in ("building", "waiting"):
                return b
            time.sleep(0.03)
        raise AssertionError("the build did not end")

    def do(self, *steps, **more):
        same(self.begin(*steps, **more)[0], 202)
        return self.wait()

    def ok(self, *steps, **more):
        b = self.do(*steps, **more)
        same(b["status"], "ready", b.get("reason"))
        return b

    def fails(self, words, at, *steps, **more):
        b = self.do(*steps, **more)
        same(b["status"], "error", b)
        check(words in b["reason"]["message"], (words, b["reason"]))
        same(b["reason"]["step"], at, b["reason"])
        return b

    def box(self, tag="", **more):
        return self.host.create(templateID=self.name + tag, **more)

    def delete(self):
        return self.host.call("DELETE", "/templates/" + self.id)[0]


def messages(b):
    return [e["message"] for e in b["logEntries"]]


def words(b):
    return "\n".join(messages(b))


# ---- a build and what comes of it ----
@walled
def steps_and_what_they_leave():
    b = Build(H.host)
    same(b.made["aliases"], [b.name])
    same(b.made["tags"], ["default"])
    files = b.copy(tar([("src", DIR), ("src/a.txt", b"abc"), ("src/run.sh", b"#!/bin/sh\necho ran\n", 0o755),
                        ("src/l", link("a.txt")), ("src/empty", DIR)]), "src", "lib")
    done = b.ok(run("id -un; pwd; echo first > f"), step("WORKDIR", "/app"), step("ENV", "A", "1", "B", "$A-x", "C", '`\\"$('),
                files, run("touch made; rm ../home/user/f || true", "root"),
                run("rm -f /home/user/f; echo $A $B; echo oops >&2; pwd"))
    log = words(done)
    for part in ("[builder 1/6] RUN id -un; pwd", "[builder 1/6] [stdout]: user",
                 "[stdout]: /home/user", "[builder 6/6] [stdout]: 1 1-x", "[builder 6/6] [stderr]: oops",
                 "[builder 6/6] [stdout]: /app", "COPY src lib"):
        check(part in log, (part, log))
    same([e["step"] for e in done["logEntries"] if "RUN" in e["message"]], ["1", "5", "6"])
    check(all(e["level"] in ("debug", "info", "warn", "error") and e["timestamp"] for e in done["logEntries"]))
    x = b.box()
    same(x.out("pwd; cat lib/a.txt; lib/run.sh; readlink lib/l; ls -A lib").split("\n"),
         ["/app", "abcran", "a.txt", "a.txt", "empty", "l", "run.sh", ""])
    same(x.out("echo \"$A|$B|$C\""), '1|1-x|`\\"$(\n')
    same(x.out("ls /home/user; stat -c %a lib/run.sh lib/a.txt; echo $E2B_TEMPLATE_ID"), f"755\n644\n{b.id}\n")
    same(H.host.json("GET", "/sandboxes/" + x.id)[1]["templateID"], b.id)
    for ref in (b.id, b.name, f"team/{b.name}:default"):
        same([e["sandboxID"] for e in H.host.json("GET", "/v2/sandboxes?template=" + ref)[1]], [x.id], ref)
    x.kill()
    same(b.delete(), 204)


@test
def user_and_directory_are_the_defaults():
    if H.host.rung != 1:
        raise Skip("users of an own name need rung 1")
    b = Build(H.host)
    b.ok(step("USER", "dev"), step("WORKDIR", "/srv/x"), step("WORKDIR", "y"), run("id -un > who; pwd >> who"),
         run("id -un > /root-was-here", "root"))
    x = b.box()
    same(x.out("id -un; pwd; cat who; cat /root-was-here; echo $HOME"), "dev\n/srv/x/y\ndev\n/srv/x/y\nroot\n/home/dev\n")
    same(x.put("up", b"1")[0], 200)
    same(x.out("stat -c '%U %n' /srv/x/y/up"), "dev /srv/x/y/up\n")
    same(x.out("id -un", user="user"), "user\n")
    x.kill()
    same(b.delete(), 204)


@walled
def copies():
    b = Build(H.host)
    data = tar([("one", b"1", 0o600), ("d", DIR), ("d/two", b"2", 0o640), ("d/s/three", b"3"), ("lnk", link("/etc/passwd"))])
    plain = tar([("./x.txt", b"x"), ("./y.txt", b"y")], packed=False)
    h, p = b.upload(data), b.upload(plain)

    def copy(*a, hash=h):
        return step("COPY", *a, filesHash=hash)
    b.ok(run("mkdir -p there real; ln -s real way"),
         copy("one", "/opt/new/name"), copy("one", "/opt/dir/"), copy("one", "there"), copy("./d/", "merged"),
         copy("d/two", "merged/s"), copy("lnk", "/opt/lnk"), copy("d", "way", "root", "0755"),
         copy("*.txt", "/opt/glob", hash=p), copy("d/*", "/opt/deep"), copy(".", "/opt/all", "root:users"))
    x = b.box()
    same(x.out("cat /opt/new/name /opt/dir/one there/one merged/two merged/s/three merged/s/two"), "111232")
    same(x.out("readlink /opt/lnk; test -L way && cat real/s/three; ls /opt/glob /opt/deep; cat /opt/deep/s/three"),
         "/etc/passwd\n3/opt/deep:\ns\ntwo\n\n/opt/glob:\nx.txt\ny.txt\n3")
    if H.host.rung == 1:
        same(x.out("cd ~user; stat -c '%U:%G %a' real/two real/s there/one /opt/all/one merged", user="root"),
             "root:root 755\nroot:root 755\nuser:user 600\nroot:users 600\nuser:user 755\n")
    x.kill()
    same(b.delete(), 204)
    for a, text in ((("nope", "x"), "'nope' is not in the uploaded files"), (("one", "x", "nobody-such"), "no user 'nobody-such'"),
                    (("one", "x", "user:nogroup-such"), "no group"), (("one", "/etc/passwd/x"), "Not a directory")):
        c = Build(H.host, b.name)
        c.upload(data, h) if not c.files(h)[1]["present"] else None
        c.fails(text, "1", copy(*a))
    same(c.delete(), 204)


@walled
def archives_cannot_lead_out():
    b = Build(H.host)
    outside = tempfile.mkdtemp(prefix="tmplcheck-")
    os.chmod(outside, 0o777)
    evil = tar([("../../../.." + outside + "/up", b"evil"), (outside + "/abs", b"evil"), ("ln", link(outside)), ("ln/in", b"evil"),
                ("etc", link("/etc")), ("etc/passwd", b"evil"), ("good", b"g"), ("dev", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
                ("hard", {"type": tarfile.LNKTYPE, "linkname": "/etc/shadow"})])
    b.do(b.copy(evil, ".", "got"))
    c = Build(H.host, b.name)
    c.do(c.copy(tar([("w", link("../../../..")), ("good", b"g")]), ".", "got"), c.copy(tar([("w/tmp/esc", b"e")]), "w/tmp/esc", "got/w/x"))
    d = Build(H.host, b.name)
    d.ok(d.copy(tar([("w", link("/")), ("good", b"g")]), ".", "got"), d.copy(tar([("e", b"e")]), "e", "got/w/esc-here", "root"))
    same(os.listdir(outside), [])
    check(not os.path.exists("/esc-here") and b"evil" not in open("/etc/passwd", "rb").read())
    x = d.box()
    same(x.out("cat /esc-here"), "e")  # the link led to the sandbox's own root
    same(x.rpc("Stat", {"path": "/etc/passwd"})[0], 200)
    check("evil" not in x.out("cat /etc/passwd"))
    x.kill()
    same(d.delete(), 204)
    os.rmdir(outside)


@walled
def holes_stay_holes():
    if not shutil.which("tar") or "GNU" not in subprocess.run(["tar", "--version"], capture_output=True, text=True).stdout:
        raise Skip("no tar here that packs holes")
    d = tempfile.mkdtemp(prefix="tmplcheck-")
    with open(d + "/f", "wb") as f:
        f.seek(100 << 20)
        f.write(b"middle")
        f.truncate(600 << 20)
    data = subprocess.run(["tar", "-C", d, "-cSf", "-", "f"], capture_output=True, check=True).stdout
    check(len(data) < 1 << 20, len(data))
    shutil.rmtree(d)
    b = Build(H.host)
    b.ok(b.copy(data, "f", "/opt/f"))
    x = b.box()
    size, blocks = x.out("stat -c '%s %b' /opt/f").split()
    same(int(size), 600 << 20)
    check(int(blocks) * 512 < 4 << 20, blocks)
    same(x.out(f"tail -c +{(100 << 20) + 1} /opt/f | head -c 6"), "middle")
    x.kill()
    same(b.delete(), 204)


@test
def bad_archives():
    for data in (b"no archive at all", b"\x1f\x8b\x08\0trash", tar([("a", b"x" * 100000)])[:-40]):
        b = Build(H.host)
        b.fails("cannot be unpacked", "1", b.copy(data, "a", "a"))
        same(b.delete(), 204)
    b = Build(H.host)
    b.fails("its files were not uploaded", "1", step("COPY", "a", "b", filesHash="0" * 64))
    same(b.delete(), 204)


@test
def uploads():
    b = Build(H.host)
    h = "12" * 32
    for bad in ("12", "G" * 64, "A" * 64, "1" * 63):
        s, m = b.files(bad)
        check(s == 400 and m["message"] == "Invalid files hash", m)
    same(H.host.call("GET", f"/templates/nosuch/files/{h}")[0], 404)
    s, f = b.files(h)
    check(s == 201 and f["present"] is False and f["url"].startswith(f"http://127.0.0.1:{H.host.port}/"), f)
    same(b.put(f["url"][:-1] + ("0" if f["url"][-1] != "0" else "1"), b"x")[0], 403)
    same(b.put(f["url"].replace("12" * 32, "13" * 32), b"x")[0], 403)
    same(b.put(f["url"].replace("expires=", "expires=9"), b"x")[0], 403)
    same(b.put(f["url"], iter([b"x"]))[0], 411)  # chunked
    c = H.host.connection()
    c.putrequest("PUT", f["url"][f["url"].index("/", 8):])
    c.putheader("Content-Length", "100000")
    c.endheaders()
    c.send(b"x" * 5000)
    c.close()  # cut: nothing of it stays
    time.sleep(0.3)
    same(b.files(h)[1]["present"], False)
    same(b.put(f["url"], b"data")[0], 200)
    same(b.files(h)[1]["present"], True)
    same(b.put(f["url"], b"other")[0], 200)  # forced again
    up = os.path.join(H.host.state(), "uploads")
    same(open(os.path.join(up, h, "data")).read(), "other")
    check(not [n for n in os.listdir(up) if n.startswith(".")], os.listdir(up))
    same(b.delete(), 204)
    check(h not in os.listdir(up))


# ---- cache ----
@test
def cache():
    name = fresh()
    steps = [run("date +%N > ~/one"), step("ENV", "K", "1"), run("date +%N > ~/two")]

    def build(*steps, **more):
        b = Build(H.host, name)
        log = words(b.ok(*steps, **more))
        x = b.box()
        got = x.out("cat ~/one ~/two").split()
        x.kill()
        return log.count("CACHED"), got
    n, first = build(*steps)
    same(n, 0)
    n, again = build(*steps)
    same((n, again), (2, first))
    n, forced = build(*steps, force=True)
    check(n == 0 and forced[0] != first[0] and forced[1] != first[1], (n, forced, first))
    n, again = build(*steps)
    same((n, again), (2, forced))
    steps[2] = dict(steps[2], force=True)
    n, later = build(*steps)
    check(n == 1 and later[0] == forced[0] and later[1] != forced[1], (n, later, forced))
    steps[1] = step("ENV", "K", "2")
    n, other = build(steps[0], steps[1], run("date +%N > ~/two"))
    check(n == 1 and other[0] == forced[0] and other[1] != forced[1], (n, other))
    b = Build(H.host, name)  # a failed build leaves its steps to the next
    b.fails("exit status 9", "2", run("echo slow; echo x > ~/done"), run("exit 9"))
    b = Build(H.host, name)
    check("CACHED RUN echo slow" in words(b.ok(run("echo slow; echo x > ~/done"), run("true"))))
    same(b.delete(), 204)


@walled
def bases_of_another_context():
    """The same files below, but not the same environment, user or directory: no step is shared."""
    made = []
    for context, seen in (([step("ENV", "E", "1")], "1|user|/home/user"), ([step("ENV", "E", "2")], "2|user|/home/user"),
                          ([step("ENV", "E", "2", "F", "x")], "2x|user|/home/user"), ([step("WORKDIR", "/tmp")], "|user|/tmp"),
                          ([step("USER", "root")], "|root|/root")):
        a, b = Build(H.host), Build(H.host)
        a.ok(run("echo same > ~/base"), *context)
        log = words(b.ok(run("echo \"$E$F|$(id -un)|$(pwd)\" > /tmp/seen"), fromTemplate=a.name))
        x = b.box()
        same(x.out("cat /tmp/seen"), seen + "\n", log)
        x.kill()
        made += [b, a]
    c = Build(H.host)  # and with the same ones it is
    check("CACHED RUN" in words(c.ok(run("echo \"$E$F|$(id -un)|$(pwd)\" > /tmp/seen"), fromTemplate=made[1].name)))
    for b in [c] + made:
        same(b.delete(), 204)


# ---- failures ----
@test
def failing_steps():
    for steps, text, at in (
            ([run("true"), run("echo before; echo why >&2; exit 7")], "failed to run command 'echo before; echo why >&2; exit 7': exit status 7", "2"),
            ([run("kill -9 $$")], "signal: Killed", "1"),
            ([run("true", "nobody-such")], "no user 'nobody-such'", "1")):
        b = Build(H.host)
        done = b.fails(text, at, *steps)
        tail = done["reason"]["logEntries"]
        check(tail[-1]["level"] == "error" and all(e["step"] == at for e in tail), tail)
        if "why" in text:
            check(any("[stderr]: why" in e["message"] for e in tail), tail)
        same(H.host.json("POST", "/v2/sandboxes", {"templateID": b.name})[0], 404)  # no build is ready
        same(b.delete(), 204)
    b = Build(H.host)
    done = b.fails("Known: e2bdev/base, base", "base", fromImage="python:3.12")
    check("python:3.12" in done["reason"]["message"])
    same(b.delete(), 204)
    b = Build(H.host)
    b.fails("'nope' is not known", "base", fromTemplate="nope")
    same(b.delete(), 204)


@test
def values_that_are_too_long():
    for value in ("x" * (128 << 10), "$HOME" + "x" * (128 << 10), '"' * 70000 + "$HOME"):
        b = Build(H.host)
        b.fails("128 KiB", "1", step("ENV", "LONG", value))
        same(b.delete(), 204)
    b = Build(H.host)
    b.fails("LONG", "2", step("ENV", "A", "x" * 100000), step("ENV", "LONG", "$A$A"))
    same(b.delete(), 204)
    b = Build(H.host)
    b.fails("128 KiB", "1", run("true " + "x" * (128 << 10)))
    same(b.delete(), 204)
    b = Build(H.host)
    b.ok(step("ENV", "A", "x" * 60000, "B", "$A$A", "C", "x" * (128 * 1024 - 3)), run("echo ${#B} ${#C}"))
    check("[stdout]: 120000 131069" in words(b.status()), words(b.status())[-300:])
    same(b.delete(), 204)


@test
def refusals():
    def refused(body, status, text, path="/v3/templates", method="POST"):
        s, m, _ = H.host.json(method, path, body)
        check(s == status and m["code"] == status and text in m["message"], (body, s, m))
    for name in ("", "a b", "a.b", "é", "x" * 129, "a:", "a:b c", "a:0f8fad5b-d9cb-469f-a165-70867728950e"):
        refused({"name": name}, 400, "Invalid")
    refused({"name": 5}, 400, "name")
    refused({"name": "base"}, 409, "image of this host")
    refused({"name": "x", "tags": "a"}, 400, "tags")
    refused({"name": "x", "tags": ["A b"]}, 400, "Invalid tag")
    refused({"name": "x", "cpuCount": 0}, 400, "cpuCount")
    refused({"name": "x", "memoryMB": 100}, 400, "memoryMB")
    refused({"name": "x", "memoryMB": 3000}, 400, "--memory-mib")
    refused("{", 400, "not JSON")
    b = Build(H.host)
    at = f"/v2/templates/{b.id}/builds/{b.build}"
    for body, text in (({"steps": []}, "exactly one"), ({"fromImage": "a", "fromTemplate": "b"}, "exactly one"),
                       ({"fromImage": "a", "steps": {}}, "steps"), ({"fromImage": "a", "steps": [{"type": "X"}]}, "type"),
                       ({"fromImage": "a", "steps": [run()]}, "RUN"), ({"fromImage": "a", "steps": [run("a", "b", "c")]}, "RUN"),
                       ({"fromImage": "a", "steps": [run(5)]}, "args"), ({"fromImage": "a", "steps": [step("ENV", "a")]}, "pairs"),
                       ({"fromImage": "a", "steps": [step("COPY", "a", "b")]}, "filesHash"),
                       ({"fromImage": "a", "steps": [step("COPY", "a", "b", filesHash="x")]}, "Invalid files hash"),
                       ({"fromImage": "a", "steps": [step("COPY", "a", "b", "", "9", filesHash="0" * 64)]}, "octal"),
                       ({"fromImage": "a", "steps": [step("USER", "a;b")]}, "USER"), ({"fromImage": "a", "steps": [step("WORKDIR")]}, "WORKDIR"),
                       ({"fromImage": "a", "steps": [run("x")] * 501}, "at most 500"), ({"fromImage": "a", "force": 1}, "force"),
                       ({"fromImage": 5}, "fromImage"), ({"fromImage": "a", "startCmd": []}, "startCmd")):
        refused(body, 400, text, at)
    refused({"fromImage": "a"}, 404, "not found", f"/v2/templates/{b.id}/builds/nope")
    refused({"fromImage": "a"}, 404, "not found", f"/v2/templates/nope/builds/{b.build}")
    b.ok()
    refused({"fromImage": "base"}, 400, "build is not in waiting state", at)
    same(H.host.call("GET", f"/templates/{b.id}/builds/nope/status")[0], 404)
    for q in ("logsOffset=x", "limit=-1", "level=loud"):
        same(H.host.call("GET", f"/templates/{b.id}/builds/{b.build}/status?{q}")[0], 400)
    same(H.host.call("GET", f"/templates/{b.id}/builds/{b.build}/status", key=False)[0], 401)
    same(b.delete(), 204)


@test
def credentials_are_not_logged():
    b = Build(H.host)
    b.ok(run("true"), fromImageRegistry={"type": "registry", "username": "me", "password": "geheim-4711"})
    check("geheim-4711" not in H.host.log_text() and "geheim-4711" not in words(b.status()))
    for where, _, names in os.walk(os.path.join(H.host.state(), "templates")):
        for n in names:
            check(b"geheim-4711" not in open(os.path.join(where, n), "rb").read())
    same(b.delete(), 204)


# ---- logs ----
@test
def logs_in_pieces():
    b = Build(H.host)
    b.ok(run("for i in $(seq 250); do echo line $i; done; printf 'no end of line'; printf '\\377\\n' >&2"))
    everything, n = [], 0
    while True:
        part = b.status(f"logsOffset={n}&limit=100")
        check(len(part["logEntries"]) <= 100)
        same(part["logs"], messages(part))
        if not part["logEntries"]:
            break
        everything += messages(part)
        n += len(part["logEntries"])
    lines = [m.split("]: ")[1] for m in everything if "[stdout]" in m]
    same(lines, [f"line {i + 1}" for i in range(250)] + ["no end of line"])
    check(any("\ufffd" in m for m in everything))
    same(len(b.status("limit=7")["logs"]), 7)
    same(b.status("level=error")["logs"], [])

    def logs(query):
        s, m, _ = H.host.json("GET", f"/templates/{b.id}/builds/{b.build}/logs?{query}")
        same(s, 200, m)
        return [e["message"] for e in m["logs"]]
    same(logs("limit=3"), everything[:3])
    same(logs("limit=3&direction=backward"), everything[::-1][:3])
    same(logs(f"cursor={int(time.time() * 1000) + 60000}"), [])
    same(logs("direction=backward&cursor=1000"), [])
    same(H.host.call("GET", f"/templates/{b.id}/builds/{b.build}/logs?direction=up")[0], 400)
    same(b.delete(), 204)
    b = Build(H.host)
    done = b.ok(run("yes | head -n 20000; yes 1234567890 | tr -d '\\n' | head -c 10000"))
    check(len(done["logs"]) == 100)
    last, n = None, 0
    while (part := b.status(f"logsOffset={n}"))["logs"]:
        n += len(part["logs"])
        last = part["logs"][-1]
    check(n <= 5001 and "log is full" in last, (n, last))
    same(b.delete(), 204)


@test
def logs_come_while_it_runs():
    b = Build(H.host)
    same(b.begin(run("echo early; while [ ! -e /tmp/never ]; do sleep .1; done"))[0], 202)
    end = time.time() + 30
    while "[stdout]: early" not in words(b.status()) and time.time() < end:
        time.sleep(0.05)
    same(b.status()["status"], "building")
    check("[stdout]: early" in words(b.status()))
    s, m, _ = H.host.json("GET", "/v2/sandboxes")
    check(all(x["templateID"] != b.id for x in m), m)  # its sandbox is nobody's
    same(b.delete(), 204)  # cancels
    same(H.host.call("GET", f"/templates/{b.id}/builds/{b.build}/status")[0], 404)


# ---- start and ready ----
@walled
def start_command():
    b = Build(H.host)
    b.ok(step("WORKDIR", "/tmp/w"), step("ENV", "V", "env"),
         startCmd="echo $V > began; echo said; sleep .5; echo up > ready; exec sleep 1000", readyCmd="echo asked; test -f ready")
    done = b.status()
    check(any("[stdout]: said" in m for m in messages(done)) and messages(done).count("[finalize] [stdout]: asked") >= 1, messages(done))
    for _ in range(2):
        x = b.box()
        end = time.time() + 20
        while not x.out("cat /tmp/w/ready 2>/dev/null; true") and time.time() < end:
            time.sleep(0.1)
        same(x.out("cat /tmp/w/began /tmp/w/ready"), "env\nup\n")
        s, m = x.proc("List", {})
        check(any(p.get("tag") == "start_cmd" for p in m["processes"]), m)
        s, f, _ = H.host.json("POST", f"/sandboxes/{x.id}/fork", {})
        y = Box(H.host, f[0]["sandbox"]["sandboxID"], f[0]["sandbox"]["envdAccessToken"])
        check(any(p.get("tag") == "start_cmd" for p in y.proc("List", {})[1]["processes"]))
        y.kill()
        x.kill()
    c = Build(H.host)  # inherits it
    c.ok(run("touch /tmp/w/more"), fromTemplate=b.name)
    x = c.box()
    check(any(p.get("tag") == "start_cmd" for p in x.proc("List", {})[1]["processes"]))
    same(x.out("ls /tmp/w/more; pwd; echo $V"), "/tmp/w/more\n/tmp/w\nenv\n")
    x.kill()
    same((c.delete(), b.delete()), (204, 204))
    b = Build(H.host)
    b.fails("ended before it was ready: exit status 3", "finalize", startCmd="exit 3", readyCmd="false")
    same(b.delete(), 204)
    b = Build(H.host)
    b.ok(readyCmd="test -d /tmp")
    same(b.delete(), 204)


@test
def a_start_command_that_says_much():
    """What it prints is taken while the ready command runs, which may wait for it."""
    much = "head -c 3000000 /dev/zero | tr '\\0' x; "
    b = Build(H.host)
    began = time.time()
    b.ok(step("WORKDIR", "/tmp"), startCmd=much + "touch up; exec sleep 1000", readyCmd="until test -e up; do sleep .1; done")
    check(time.time() - began < 30, time.time() - began)
    same(b.delete(), 204)
    b = Build(H.host)  # it ends: the ready command is not waited for
    began = time.time()
    b.fails("ended before it was ready: exit status 3", "finalize", startCmd=much + "exit 3", readyCmd="sleep 1000")
    check(time.time() - began < 30, time.time() - began)
    same(b.delete(), 204)


# ---- bases ----
@walled
def from_a_template():
    a, b = Build(H.host, tags=["v1"]), Build(H.host)
    same(a.made["tags"], ["v1"])
    a.ok(run("echo a > ~/a; mkdir ~/gone; echo x > ~/gone/f"), step("ENV", "E", "a"))
    b.fails("no build that is ready", "base", fromTemplate=a.name)  # has no default
    b = Build(H.host, b.name)
    b.ok(run("cat ~/a; rm -r ~/gone; mkdir ~/gone; echo $E > ~/b"), fromTemplate=a.name + ":v1")
    same(a.delete(), 204)  # b has its own part in the layers
    x = b.box()
    same(x.out("cat ~/a ~/b; ls -A ~/gone"), "a\na\n")
    s, snap, _ = H.host.json("POST", f"/sandboxes/{x.id}/snapshots", {})
    same(s, 201)
    same(x.kill(), 204)
    same(b.delete(), 204)
    s, y, _ = H.host.json("POST", "/v2/sandboxes", {"templateID": snap["snapshotID"]})
    same(s, 201, y)
    y = Box(H.host, y["sandboxID"], y["envdAccessToken"])
    same(y.out("cat ~/a ~/b; ls -A ~/gone; echo $E"), "a\na\na\n")
    y.kill()
    same(H.host.call("DELETE", "/templates/" + snap["snapshotID"])[0], 204)
    same(layers(H.host), set())


def layers(host):
    at = os.path.join(host.state(), "layers")
    return set(os.listdir(at)) if os.path.exists(at) else set()


@test
def many_steps():
    b = Build(H.host)
    b.ok(*[run(f"echo {i} > ~/f{i}; rm -f ~/f{i - 3}") for i in range(40)])
    x = b.box()
    same(x.out("ls ~ | tr '\\n' ' '"), "f37 f38 f39 ")
    s, f, _ = H.host.json("POST", f"/sandboxes/{x.id}/fork", {})
    y = Box(H.host, f[0]["sandbox"]["sandboxID"], f[0]["sandbox"]["envdAccessToken"])
    same(y.out("cat ~/f39"), "39\n")
    same(H.host.call("POST", f"/sandboxes/{y.id}/pause", {"memory": False})[0], 204)
    same(H.host.call("POST", f"/v2/sandboxes/{y.id}/connect", {})[0], 201)
    same(y.out("cat ~/f38"), "38\n")
    same(b.delete(), 400)  # in use
    x.kill()
    same(b.delete(), 400)
    y.kill()
    same(b.delete(), 204)
    if H.host.rung < 3:
        b = Build(H.host)
        b.fails("more than 120 steps", "121", *[run("true")] * 130)
        same(b.delete(), 204)


def small_tree(d):
    """sh and cat, and what they need"""
    os.chmod(d, 0o755)
    need = {"/bin/sh", "/bin/cat"}
    for p in list(need):
        need |= set(re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", p], capture_output=True, text=True).stdout))
    for p in need:
        os.makedirs(d + os.path.dirname(p), exist_ok=True)
        shutil.copy(os.path.realpath(p), d + p)


@test
def an_image_without_tools():
    if H.host.rung == 3:
        raise Skip("rung 3 has no images")
    d = tempfile.mkdtemp(prefix="tmplcheck-")
    small_tree(d)
    h = Host("--image", f"mini:1={d}", "--image", f"other:latest={d}")
    try:
        for image in ("mini:1", "docker.io/library/mini:1", "other", "other:latest"):
            b = Build(h)  # sh for bash; no tar in it
            b.ok(b.copy(tar([("f", b"from the upload")]), "f", "/opt/f"), run("cat /opt/f > ~/seen; echo $0"), fromImage=image)
            check("/bin/sh" in words(b.status()), words(b.status()))
            x = b.box()
            same(x.get("/home/user/seen")[1], b"from the upload")
            x.kill()
            same(b.delete(), 204)
        b = Build(h)
        b.fails("Known: e2bdev/base, base, mini:1, other:latest", "base", fromImage="mini:2")
        same(b.delete(), 204)
    finally:
        same(h.stop(), [])
        shutil.rmtree(d)


# ---- names, tags, lists ----
@test
def tags_and_names():
    name = fresh()
    a = Build(H.host, f"  {name.upper()}:V1 ", tags=["x", "v1"])
    same(a.made["tags"], ["v1", "x"])
    a.ok(run("echo 1 > ~/v"))
    b = Build(H.host, name)
    same(b.id, a.id)
    b.ok(run("echo 2 > ~/v"))

    def version(ref):
        s, m, _ = H.host.json("POST", "/v2/sandboxes", {"templateID": ref})
        if s != 201:
            return s
        x = Box(H.host, m["sandboxID"], m["envdAccessToken"])
        v = x.out("cat ~/v").strip()
        x.kill()
        return v
    same([version(r) for r in (name, name + ":v1", "team/" + name + ":x", a.id, a.id + ":v1", name + ":default", name + ":no")],
         ["2", "1", "1", "2", "1", "2", 404])

    def call(method, path, body=None):
        return H.host.json(method, path, body)[:2]
    s, m = call("POST", "/templates/tags", {"target": name + ":v1", "tags": ["prod", "default"]})
    same((s, m), (201, {"buildID": a.build, "tags": ["prod", "default"]}))
    same([version(r) for r in (name, name + ":prod")], ["1", "1"])
    s, m = call("GET", f"/templates/{name}/tags")
    same({t["tag"]: t["buildID"] for t in m}, dict.fromkeys(("v1", "x", "prod", "default"), a.build))
    check(all(t["createdAt"] for t in m))
    s, m = call("POST", "/templates/tags", {"target": "nope", "tags": ["x"]})
    same((s, m["message"]), (404, "Template 'nope' with tag 'default' not found"))
    same(call("DELETE", "/templates/tags", {"name": name, "tags": ["x", "prod"]})[0], 204)
    same(call("DELETE", "/templates/tags", {"name": name, "tags": ["default"]})[0], 400)
    same(call("DELETE", "/templates/tags", {"name": name + ":v1", "tags": ["v1"]})[0], 400)
    same(call("DELETE", "/templates/tags", {"name": "nope", "tags": ["v1"]})[0], 404)
    same(len(call("GET", f"/templates/{a.id}/tags")[1]), 2)
    same(call("GET", f"/templates/aliases/{name}"), (200, {"public": False, "templateID": a.id}))
    same(call("GET", f"/templates/aliases/team%2F{name}%3Av1")[0], 200)
    same(call("GET", f"/templates/aliases/{name}%3Anope")[0], 404)
    same(call("GET", "/templates/aliases/base")[0], 200)
    same(call("GET", "/templates/aliases/nope")[0], 404)
    same(call("PATCH", f"/v2/templates/{name}", {"public": True}), (200, {"names": [name]}))
    same(call("GET", f"/templates/aliases/{name}")[1]["public"], True)
    s, m = call("GET", "/templates/" + a.id)
    same([x["status"] for x in m["builds"]], ["ready", "ready"])
    same(len(call("GET", f"/templates/{a.id}?limit=1")[1]["builds"]), 1)
    s, m = call("GET", "/v2/templates")
    check([t["templateID"] for t in m if t["names"] == [name]] == [a.id] and m[0]["buildStatus"] == "ready", m)
    same(call("DELETE", "/templates/base")[0], 400)
    same(a.delete(), 204)
    same((a.delete(), version(name)), (404, 404))


def page(path, token=None, limit=2):
    s, m, h = H.host.json("GET", f"{path}?limit={limit}" + (f"&nextToken={token}" if token else ""))
    same(s, 200, m)
    return m, h.get("X-Next-Token")


@test
def pages():
    made = [Build(H.host) for _ in range(3)]
    m, token = page("/v2/templates")
    same(len(m), 2)
    rest, end = page("/v2/templates", token)
    check({t["templateID"] for t in m + rest} == {b.id for b in made} and end is None, (m, rest, end))
    for t in m:  # the place is one in the order: who was there may go
        same(H.host.call("DELETE", "/templates/" + t["templateID"])[0], 204)
    same(page("/v2/templates", token), (rest, None))
    same(H.host.call("DELETE", "/templates/" + rest[0]["templateID"])[0], 204)
    same(page("/v2/templates", token), ([], None))
    same(H.host.call("GET", "/v2/templates?limit=0")[0], 400)
    for bad in ("x", "!!", H.base64.urlsafe_b64encode(b"0" * 20 + b"__").decode(), H.base64.urlsafe_b64encode(b"abc").decode(), "A" * 300):
        same(H.host.call("GET", "/v2/templates?nextToken=" + bad)[0], 400, bad)


@test
def pages_of_one_moment():
    made = []
    threads = [threading.Thread(target=lambda n: made.append(Build(H.host, n).id), args=(fresh(),)) for _ in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for path, what in (("/v2/templates", lambda m: [t["templateID"] for t in m]),
                       ("/templates/" + made[0], lambda m: [x["buildID"] for x in m["builds"]])):
        if path != "/v2/templates":
            name = H.host.json("GET", path)[1]["names"][0]
            made = [H.host.json("GET", path)[1]["builds"][0]["buildID"]] + [Build(H.host, name).build for _ in range(30)]
        seen, token = [], None
        while True:
            m, token = page(path, token, 4)
            seen += what(m)
            if not token:
                break
        same(sorted(seen), sorted(made))
        if path == "/v2/templates":
            for id in made[1:]:
                same(H.host.call("DELETE", "/templates/" + id)[0], 204)
    same(H.host.call("DELETE", path)[0], 204)


@test
def a_page_goes_on_where_a_build_was():
    b = Build(H.host)
    for _ in range(5):
        Build(H.host, b.name).fails("not known", "base", fromImage="nope")
    last = Build(H.host, b.name)
    m, token = page("/templates/" + b.id, limit=3)
    for _ in range(5):  # what was shown last is trimmed
        Build(H.host, b.name).fails("not known", "base", fromImage="nope")
    left = [x["buildID"] for x in page("/templates/" + b.id, token, 100)[0]["builds"]]
    same(left[-1], b.build)
    same(last.build in left, False)
    same(b.delete(), 204)


@test
def sizes():
    b = Build(H.host, cpuCount=1, memoryMB=256)
    b.ok(run("nproc > ~/n"))
    x = b.box()
    s, i, _ = H.host.json("GET", "/sandboxes/" + x.id)
    same((i["cpuCount"], i["memoryMB"]), (1, 256))
    same(x.out("cat ~/n; nproc"), "1\n1\n")
    if "memory" in H.host.json("GET", "/status")[1]["isolation"]["cgroups"]:
        end = x.run("exec python3 -c 'x = bytearray(600 << 20)'")[2]
        check(end and end.get("exitCode") != 0 or "signal" in str(end), end)
    x.kill()
    s, m, _ = H.host.json("GET", "/templates/" + b.id)
    same((m["builds"][0]["cpuCount"], m["builds"][0]["memoryMB"]), (1, 256))
    same(b.delete(), 204)


@test
def a_sandbox_starts_as_fast_as_from_the_base():
    if H.host.rung == 3:
        raise Skip("rung 3 copies the tree")
    b = Build(H.host)
    b.ok(run("dd if=/dev/zero of=~/big bs=1M count=64 2>/dev/null; mkdir ~/many; cd ~/many; seq 2000 | xargs touch"),
         *[run(f"echo {i} > ~/f{i}") for i in range(10)])

    def best(template):
        times = []
        for _ in range(15):
            t = time.time()
            x = H.host.create(templateID=template)
            times.append(time.time() - t)
            x.kill()
        return sorted(times)[len(times) // 4]
    base, own = best("base"), best(b.name)
    print(f"      a sandbox of the base {base * 1000:.1f} ms, of a template of 11 layers {own * 1000:.1f} ms")
    check(own < 10 * base + 0.05, (base, own))  # a copy of the files would take far longer
    same(b.delete(), 204)


# ---- limits and ends ----
@test
def limits():
    h = Host("--templates-mib", "8", "--build-seconds", "3")
    try:
        b = Build(h)
        s, f = b.files("0" * 64)
        c = h.connection()
        c.putrequest("PUT", f["url"][f["url"].index("/", 8):])
        c.putheader("Content-Length", str(9 << 20))
        c.endheaders()
        same(c.getresponse().status, 507)
        c.close()
        b.fails("--templates-mib", "1", run("head -c 9000000 /dev/urandom > ~/big"))
        same(b.delete(), 204)
        b = Build(h)
        t = time.time()
        b.fails("did not end within 3 seconds", "1", run("sleep 1000"))
        check(time.time() - t < 60)
        same(b.delete(), 204)
        b = Build(h)
        bomb = tar([("a", b"\0" * (20 << 20))])
        b.fails("cannot be unpacked", "1", b.copy(bomb, "a", "a"))
        same(b.delete(), 204)
        b = Build(h, minFreeDiskMb=2 ** 31 - 1)
        b.fails("are free on this host", "base", run("true"))
        same(b.delete(), 204)
        running = [Build(h) for _ in range(21)]
        codes = [x.begin(run("sleep 1000"))[0] for x in running]
        same(codes, [202] * 20 + [429])
        for x in running:
            same(x.delete(), 204)
        same(layers(h), set())
    finally:
        same(h.stop(), [])


@test
def uploads_under_way_take_room():
    h = Host("--templates-mib", "8")
    try:
        b = Build(h)

        def begun(hash, length, sent):
            c = h.connection()
            url = b.files(hash * 64)[1]["url"]
            c.putrequest("PUT", url[url.index("/", 8):])
            c.putheader("Content-Length", str(length))
            c.endheaders()
            c.send(b"x" * sent)
            return c

        def parts():
            up = os.path.join(h.state(), "uploads")
            return [n for n in os.listdir(up) if n.startswith(".part")] if os.path.exists(up) else []

        def wait_for_parts(n):
            end = time.time() + 20
            while len(parts()) != n and time.time() < end:
                time.sleep(0.02)
            same(len(parts()), n)
        one = begun("1", 5 << 20, 100000)
        wait_for_parts(1)
        url = b.files("2" * 64)[1]["url"]
        same(b.put(url, b"y" * (5 << 20))[0], 507)
        same(b.put(url, b"y" * (2 << 20))[0], 200)
        one.send(b"x" * ((5 << 20) - 100000))
        same(one.getresponse().status, 200)
        one.close()
        same(b.put(b.files("3" * 64)[1]["url"], b"z" * (2 << 20))[0], 507)  # counted once, not twice: 7 of 8
        for _ in range(3):  # what is cut gives its room back
            cut = begun("4", 900 << 10, 100000)
            wait_for_parts(1)
            cut.close()
            wait_for_parts(0)
        same(b.put(b.files("3" * 64)[1]["url"], b"z" * (900 << 10))[0], 200)
        same(b.delete(), 204)
    finally:
        same(h.stop(), [])


@test
def output_without_end():
    """It holds up neither the clock of a build nor who deletes it."""
    h = Host("--build-seconds", "3")
    try:
        for more in ({}, {"startCmd": "yes", "readyCmd": "yes >&2"}, {"startCmd": "yes", "readyCmd": "false"}):
            b = Build(h)
            began = time.time()
            b.fails("did not end within 3 seconds", "finalize" if more else "1", *([] if more else [run("yes")]), **more)
            check(time.time() - began < 15, time.time() - began)
            same(b.delete(), 204)
    finally:
        same(h.stop(), [])
    b = Build(H.host)
    same(b.begin(run("yes"))[0], 202)
    end = time.time() + 30
    while "[stdout]: y" not in words(b.status()) and time.time() < end:
        time.sleep(0.05)
    same(b.delete(), 204)
    while H.host.json("GET", "/status")[1]["sandboxes"] != 1 and time.time() < end:
        time.sleep(0.05)
    same(H.host.json("GET", "/status")[1]["sandboxes"], 1)


@walled
def one_sandbox_is_enough():
    state = tempfile.mkdtemp(prefix="tmplcheck-")
    os.chmod(state, 0o711)
    for options in ([], ["--disk-mib", "64"], ["--state", state + "/s"]):
        h = Host("--max-sandboxes", "1", "--build-seconds", "20", *options)
        try:
            builds = [Build(h) for _ in range(3)]
            for i, b in enumerate(builds):
                files = b.copy(tar([("d", DIR), ("d/f", str(i).encode() * 9)]), "d", "/opt/d")
                same(b.begin(run(f"echo {i} > ~/n"), files, step("ENV", "E", f"{i}$HOME"), run("cat /opt/d/f ~/n"))[0], 202)
            for done in [b.wait() for b in builds]:
                same(done["status"], "ready", done.get("reason"))
            for i, b in enumerate(builds):
                x = b.box()
                same(x.out("cat /opt/d/f ~/n; ls /tmp"), str(i) * 9 + f"{i}\n")
                x.kill()
                same(b.delete(), 204)
        finally:
            same(h.stop(), [])
    same(os.listdir(state + "/s"), [])
    shutil.rmtree(state)


@test
def deleted_while_building():
    b = Build(H.host)
    before = layers(H.host)
    same(b.begin(run("echo 1 > ~/f"), run("sleep 1000"))[0], 202)
    end = time.time() + 30
    while not layers(H.host) - before and time.time() < end:
        time.sleep(0.05)
    check(layers(H.host) - before)
    same(b.delete(), 204)
    end = time.time() + 30 # what was being built is given up a moment later
    while layers(H.host) != before and time.time() < end:
        time.sleep(0.05)
    same(layers(H.host), before)
    while H.host.json("GET", "/status")[1]["sandboxes"] != 1 and time.time() < end:
        time.sleep(0.05)
    same(H.host.json("GET", "/status")[1]["sandboxes"], 1)


@test
def ended_while_building():
    h = Host()
    b = Build(h)
    same(b.begin(run("echo begun; sleep 1000"))[0], 202)
    end = time.time() + 30
    while "begun" not in " ".join(m for m in messages(b.status()) if "stdout" in m) and time.time() < end:
        time.sleep(0.05)
    began = time.time()
    same(h.stop(), [])
    check(h.p.returncode == 0 and time.time() - began < 40, h.p.returncode)


@test
def old_builds_go():
    b = Build(H.host)
    first = b.build
    b.ok()
    for _ in range(8):
        b = Build(H.host, b.name)
        b.ok(run("date +%N > ~/f"), force=True)
    ids = [x["buildID"] for x in H.host.json("GET", "/templates/" + b.id)[1]["builds"]]
    check(len(ids) == 6 and ids[0] == b.build and first not in ids, ids)
    end = time.time() + 30  # their layers go a moment after the build was told to be ready
    while len(layers(H.host)) != 6 and time.time() < end:
        time.sleep(0.05)
    same(len(layers(H.host)), 6)
    same(b.delete(), 204)


@test
def an_old_build_ends_among_many_newer_ones():
    slow = Build(H.host)
    same(slow.begin(run("sleep 1.5; exit 3"))[0], 202)
    for _ in range(7):
        Build(H.host, slow.name).fails("not known", "base", fromImage="nope")
    same(slow.status()["status"], "building")
    done = slow.wait()  # newer ones that ended fill the room: it is still to be asked for
    check(done["status"] == "error" and "exit status 3" in done["reason"]["message"], done)
    same(slow.delete(), 204)


@test
def builds_that_wait_stay_a_while():
    first = Build(H.host)
    for _ in range(7):
        Build(H.host, first.name).fails("not known", "base", fromImage="nope")
    first.ok(first.copy(tar([("f", b"f")]), "f", "f"))
    made = [Build(H.host, first.name) for _ in range(100)]
    s, m, _ = H.host.json("POST", "/v3/templates", {"name": first.name})
    check(s == 429 and m["code"] == 429 and "100 builds that wait" in m["message"], (s, m))
    made[0].ok()  # the oldest of them
    Build(H.host, first.name)
    same(first.delete(), 204)


@test
def what_is_missing_is_named():
    b, none = Build(H.host), "0f8fad5b-d9cb-469f-a165-70867728950e"
    body = {"fromImage": "base"}

    def missing(method, path, body, what):
        s, m, _ = H.host.json(method, path, body)
        same((s, m["code"], m["message"]), (404, 404, what + " not found"))
    for t, build, what in ((b.id, none, f"Build '{none}'"), ("nope", none, "template 'nope'"),
                           ("nope", b.build, "template 'nope'"), (b.id, "a%FFb", "Build 'a\ufffdb'")):
        missing("POST", f"/v2/templates/{t}/builds/{build}", body, what)
        missing("GET", f"/templates/{t}/builds/{build}/status", None, what)
        missing("GET", f"/templates/{t}/builds/{build}/logs", None, what)
    missing("GET", f"/templates/nope/files/{'0' * 64}", None, "template 'nope'")
    url = b.files("0" * 64)[1]["url"]
    same(b.delete(), 204)
    s, m, _ = b.put(url, b"x")
    same((s, H.json.loads(m)["message"]), (404, f"template '{b.id}' not found"))


@test
def tags_have_a_limit():
    b = Build(H.host)
    b.ok()

    def assign(*tags):
        return H.host.json("POST", "/templates/tags", {"target": b.name, "tags": list(tags)})[:2]
    for i in range(20):
        same(assign(*(f"t{i * 50 + k}" for k in range(50 if i else 49)))[0], 201)
    same(len(H.host.json("GET", f"/templates/{b.id}/tags")[1]), 1000)
    s, m = assign("t0", "more")
    check(s == 400 and m["code"] == 400 and "at most 1000 tags" in m["message"], (s, m))
    same(assign("t1", "t999")[0], 201)
    s, m, _ = H.host.json("POST", "/v3/templates", {"name": b.name, "tags": ["more"]})
    check(s == 400 and "at most 1000 tags" in m["message"], (s, m))
    same(H.host.call("DELETE", "/templates/tags", {"name": b.name, "tags": ["t1"]})[0], 204)
    Build(H.host, b.name, tags=["more"])  # it will get it: the room is taken
    same(assign("other")[0], 400)
    same(b.delete(), 204)


@test
def uploads_have_a_limit():
    state = tempfile.mkdtemp(prefix="tmplcheck-")
    os.chmod(state, 0o711)
    h = Host("--state", state + "/s")
    try:
        b = Build(h)
        files = b.upload(tar([("a", b"A")]))
        b.ok(step("COPY", "a", "a", filesHash=files))
        for i in range(999):
            same(b.files(f"{i:064x}")[0], 201)
        s, m = b.files("f" * 64)
        check(s == 429 and m["code"] == 429 and "1000 uploads" in m["message"], (s, m))
        same(b.files(f"{7:064x}")[0], 201)
        Build(h, b.name).fails("not known", "base", fromImage="nope")  # now they are on the disk
        h.stop()
        h = Host("--state", state + "/s")
        b.host = h
        same(b.files(files)[1]["present"], True)  # named just now, so others give way
        for i in range(1000, 1999):
            same(b.files(f"{i:064x}")[0], 201)
        same(b.files("f" * 64)[0], 429)
        same(b.files(files)[1]["present"], True)
        same(b.delete(), 204)
    finally:
        h.stop()
    shutil.rmtree(state)


@test
def what_cannot_be_written_down_is_an_error():
    b = Build(H.host)
    b.ok()
    c = Build(H.host, b.name)
    many = [text for i in range(50) for text in (f"A{i}", "x" * 120000)]
    c.fails("cannot be written down", "finalize", step("ENV", *many))
    same({t["tag"]: t["buildID"] for t in H.host.json("GET", f"/templates/{b.id}/tags")[1]}, {"default": b.build})
    shutil.rmtree(os.path.join(H.host.state(), "templates", b.id))
    for method, path, body in (("POST", "/templates/tags", {"target": b.name, "tags": ["a"]}),
                               ("DELETE", "/templates/tags", {"name": b.name, "tags": ["a"]}),
                               ("PATCH", "/v2/templates/" + b.id, {"public": True})):
        s, m, _ = H.host.json(method, path, body)
        check(s == 500 and "written down" in m["message"], (s, m))
    same(b.delete(), 204)


@walled
def state_survives():
    state = tempfile.mkdtemp(prefix="tmplcheck-")
    os.chmod(state, 0o711)
    h = Host("--state", state + "/s")
    b = Build(h, tags=["default", "v1"])
    files = b.upload(tar([("a", b"A")]))
    b.ok(step("COPY", "a", "/opt/a", filesHash=files), step("ENV", "E", "1"), run("echo r > ~/r; rm -f /etc/os-release", "root"),
         startCmd="sleep 1000", readyCmd="true")
    bad = Build(h)
    bad.fails("exit status 1", "1", run("false"))
    x = b.box()
    x.out("echo mine > ~/mine")
    same(h.call("POST", f"/sandboxes/{x.id}/pause")[0], 204)
    log = messages(b.status())
    same(h.stop(), [])
    h = Host("--state", state + "/s")
    try:
        b.host = bad.host = x.host = h
        same(messages(b.status()), log)
        same(bad.status()["reason"]["message"], "failed to run command 'false': exit status 1")
        y = b.box(":v1")
        same(y.out("cat /opt/a; echo $E; cat /root/r; ls /etc/os-release 2>/dev/null; true", user="root"), "A1\nr\n")
        check(any(p.get("tag") == "start_cmd" for p in y.proc("List", {})[1]["processes"]))
        y.kill()
        same(b.delete(), 400)  # the paused one is of it
        same(h.call("POST", f"/v2/sandboxes/{x.id}/connect", {})[0], 201)
        same(x.out("cat ~/mine /opt/a"), "mine\nA")
        same(x.kill(), 204)
        c = Build(h, b.name)
        same(c.id, b.id)
        same(c.files(files)[1]["present"], True)
        check("CACHED COPY a /opt/a" in words(c.ok(step("COPY", "a", "/opt/a", filesHash=files))))
        # killed in the middle of a build: nothing of it stays
        kept, d = layers(Rooted(state)), Build(h)
        same(d.begin(run("echo 1 > ~/f"), run("sleep 1000"))[0], 202)
        end = time.time() + 30
        while layers(Rooted(state)) == kept and time.time() < end:
            time.sleep(0.05)
        check(layers(Rooted(state)) != kept)
    finally:
        h.stop(signal.SIGKILL)
    h = Host("--state", state + "/s")
    try:
        same(h.call("GET", "/templates/" + d.id)[0], 404)
        same(layers(Rooted(state)), kept)
        b.host = bad.host = h
        y = b.box()
        same(y.out("cat /opt/a"), "A")
        y.kill()
        same((b.delete(), bad.delete()), (204, 204))
        same(layers(Rooted(state)), set())
    finally:
        same(h.stop(), [])
    same(os.listdir(state + "/s"), [])
    shutil.rmtree(state)


@walled
def layers_stay_for_what_is_not_offered():
    state, tree = (tempfile.mkdtemp(prefix="tmplcheck-") for _ in range(2))
    os.chmod(state, 0o711)
    small_tree(tree)
    where, image = ("--state", state + "/s"), ("--image", f"mini:1={tree}")
    at = Rooted(state)

    def restarted(*options):
        h.stop()
        return Host(*where, *options)

    def snapshot_of(x):
        s, m, _ = h.json("POST", f"/sandboxes/{x.id}/snapshots", {})
        same(s, 201, m)
        return m["snapshotID"]
    h = Host(*where, *image)
    try:
        b, c = Build(h), Build(h)
        b.ok(run("echo kept > ~/f"), fromImage="mini:1")
        c.ok(run("echo other > ~/f"), fromImage="mini:1")
        x = b.box()
        snap = snapshot_of(x)
        x.kill()
        same(b.delete(), 204)  # the layers are now those of the snapshot alone
        x = c.box()
        y = h.create(templateID=snapshot_of(x))
        x.kill()
        same(h.call("DELETE", "/templates/" + h.json("GET", "/sandboxes/" + y.id)[1]["templateID"])[0], 204)
        same(c.delete(), 204)
        same(h.call("POST", f"/sandboxes/{y.id}/pause")[0], 204)  # and of the paused one alone
        before = layers(at)
        same(len(before), 2)
        h = restarted()
        d = Build(h)  # its end sweeps once more
        d.ok(run("true"))
        same(d.delete(), 204)
        same(layers(at), before)
        boxes = os.path.join(state, "s", "boxes", y.id, "box.json")
        whole = open(boxes, "rb").read()
        for cut in (b"", whole[:40], b"[]"):
            with open(boxes, "wb") as f:
                f.write(cut)
            h = restarted(*image)
            d.host = h
            d = Build(h)
            d.ok(run("true"))
            same(d.delete(), 204)
            check(before <= layers(at), (before, layers(at)))
            check("cannot be read" in h.log_text() and "none is removed" in h.log_text(), h.log_text())
        with open(boxes, "wb") as f:
            f.write(whole)
        h = restarted(*image)
        same(layers(at), before)
        y.host = h
        same(h.call("POST", f"/v2/sandboxes/{y.id}/connect", {})[0], 201)
        same(y.get("/home/user/f")[1], b"other\n")
        y.kill()
        x = h.create(templateID=snap)
        same(x.get("/home/user/f")[1], b"kept\n")
        x.kill()
        same(h.call("DELETE", "/templates/" + snap)[0], 204)
        same(layers(at), set())
    finally:
        same(h.stop(), [])
    shutil.rmtree(state)
    shutil.rmtree(tree)


class Rooted:
    def __init__(self, where):
        self.where = where

    def state(self):
        return self.where + "/s"


@test
def many_at_once():
    failed = []

    def one(i):
        try:
            b = Build(H.host)
            b.ok(run(f"echo {i} > ~/n; sleep .2"), b.copy(tar([("f", str(i).encode())]), "f", "f"), run("cat f ~/n"))
            x = b.box()
            same(x.out("cat ~/f ~/n"), f"{i}{i}\n")
            x.kill()
            same(b.delete(), 204)
        except Exception as e:  # noqa: BLE001
            failed.append(repr(e)[:300])
    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same(failed, [])


@test
def nothing_is_left():
    same(layers(H.host), set())
    same(H.host.json("GET", "/v2/templates")[1], [])
    for name in ("uploads", "templates"):
        at = os.path.join(H.host.state(), name)
        same(os.listdir(at) if os.path.exists(at) else [], [])


if __name__ == "__main__":
    sys.exit(H.main())
