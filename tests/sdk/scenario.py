"""scenario.py - the story of scenario.c by the official Python SDK: the same steps, the
same JSON lines."""
import hashlib
import json
import os
import time

import e2b
from e2b import Sandbox
from e2b.sandbox.commands.command_handle import CommandExitException, PtySize

WORDS = {"FileNotFoundException": "not found", "SandboxNotFoundException": "not found",
         "NotFoundException": "not found", "SandboxNotRunningException": "gone",
         "TimeoutException": "timeout", "AuthenticationException": "auth",
         "InvalidArgumentException": "argument"}


def tell(step, f, *more):
    """One line: what f gave, or the word for what it failed with."""
    line = {"step": step}
    try:
        for g in (f, *more):
            got = g()
            line.update(got if isinstance(got, dict) else {})
    except Exception as e:  # noqa: BLE001
        line["error"] = next((WORDS[c.__name__] for c in type(e).__mro__ if c.__name__ in WORDS),
                             f"{type(e).__name__}: {e}")
    print(json.dumps(line, ensure_ascii=False), flush=True)
    return "error" not in line


def value(f):
    return lambda: {"value": f()}


def result(f):
    """A result, whatever its exit code, as C has it."""
    def g():
        try:
            r = f()
            error = None
        except CommandExitException as e:
            r, error = e, e.error
        return {"exit": r.exit_code, "out": r.stdout, "err": r.stderr, "reason": error}
    return g


def run(step, cmd, **kw):
    tell(step, result(lambda: box.commands.run(cmd, **kw)))


def commands():
    run("run", 'echo "$G $A"; echo err >&2')
    run("run envs", 'echo "$G $A"', envs={"A": "x 'y' \"z\""})
    run("run fails", "printf part; exit 7")
    run("run signal", "kill -9 $$")
    run("run utf-8", "printf '\\xe2'; sleep .1; printf '\\x82\\xac'")
    run("run cwd user", "pwd; id -un; echo $HOME", cwd="/tmp", user="root")
    run("run unknown user", "true", cwd="/tmp", user="no-such-user")
    run("run unknown cwd", "true", cwd="/no/such")
    run("run timeout", "exec sleep 20", timeout=0.7)

    def big():
        out = box.commands.run("seq 200000").stdout.encode()
        return {"length": len(out), "sha256": hashlib.sha256(out).hexdigest()}

    tell("run big", big)


def background():
    start = box.commands.run
    state = {}

    def listing():
        h = state["h"] = start("exec sleep 20", background=True, envs={"M": "1"}, cwd="/tmp")
        p = next(p for p in box.commands.list() if p.pid == h.pid)
        return {"cmd": p.cmd, "args": list(p.args), "envs": dict(p.envs), "cwd": p.cwd}

    def waited():
        r = result(state["h"].wait)()
        return {"exit": r["exit"], "reason": r["reason"]}

    tell("list", listing)
    tell("kill", lambda: {"existed": box.commands.kill(state["h"].pid)}, waited,
         lambda: {"other": box.commands.kill(999999)})

    def stdin():
        h = start("cat; echo end", background=True, stdin=True)
        box.commands.send_stdin(h.pid, "one\n")
        h.send_stdin("zwei ü\n")
        h.close_stdin()
        return result(h.wait)()

    def stream():
        h = start("head -n 2", background=True, stdin=True)
        box.commands.stream_input(h.pid, iter(["a\n", "b\n"]))
        return result(h.wait)()

    def connect():
        h = start("sleep .7; echo late; exit 4", background=True)
        return result(box.commands.connect(h.pid).wait)()

    tell("stdin", stdin)
    tell("stream stdin", stream)
    tell("connect", connect)
    tell("connect unknown", lambda: box.commands.connect(999999))
    tell("stdin unknown", lambda: box.commands.send_stdin(999999, "x"))


def terminal():
    def pty():
        seen = []
        h = box.pty.create(PtySize(rows=30, cols=100), cwd="/tmp")
        box.pty.resize(h.pid, PtySize(rows=50, cols=120))
        box.pty.send_stdin(h.pid, b"stty size; echo $TERM; exit 3\n")
        try:
            code = h.wait(on_pty=seen.append).exit_code
        except CommandExitException as e:
            code = e.exit_code
        out = b"".join(seen)
        return {"exit": code, "size": b"50 120" in out, "term": b"xterm-256color" in out}

    tell("pty", pty)
    tell("pty unknown", lambda: box.pty.resize(999999, PtySize(rows=1, cols=1)))


def short(i):
    return {"name": i.name, "path": i.path, "type": i.type.value if i.type else None}


def whole(i):
    kind = i.type.value if i.type else None
    return {**short(i), "size": 0 if kind == "dir" else i.size, "mode": i.mode,
            "permissions": i.permissions, "owner": i.owner, "group": i.group,
            "target": i.symlink_target, "recent": i.modified_time.timestamp() > time.time() - 60}


def files():
    f = box.files
    odd = "s/o dd ü #?&%41+.txt"
    tell("write", lambda: short(f.write("s/deep/a", "héllo")))
    tell("write odd", lambda: short(f.write(odd, "odd")))
    tell("write root", lambda: short(f.write("/root/r", "r", user="root")))
    tell("write many", lambda: {"entries": [short(i) for i in f.write_files(
        [{"path": "s/many/a", "data": "1"}, {"path": "s/many/b c", "data": "22"}])]})
    for step, path in (("read", "s/deep/a"), ("read odd", odd), ("read missing", "s/none"),
                       ("read directory", "s")):
        tell(step, lambda: {"text": f.read(path)})
    run("prepare", "chmod 750 s/deep/a; ln -s deep/a s/link; ln -s /nowhere s/dangling")
    for step, path, depth in (("files list", "s", 3), ("files list missing", "s/none", 1),
                              ("files list file", "s/deep/a", 1)):
        tell(step, lambda: {"entries": [whole(i) for i in f.list(path, depth=depth)]})
    for step, path in (("stat", "s/deep/a"), ("stat link", "s/link"), ("stat missing", "s/none")):
        tell(step, lambda: {"entry": whole(f.get_info(path))})
    tell("exists", value(lambda: f.exists("s/dangling")))
    tell("exists missing", value(lambda: f.exists("s/none")))
    tell("rename", lambda: {"entry": whole(f.rename("s/deep/a", "s/n/ew"))})
    tell("rename missing", lambda: {"entry": whole(f.rename("s/none", "s/x"))})
    tell("make dir", value(lambda: f.make_dir("s/d/e")))
    tell("make dir again", value(lambda: f.make_dir("s/d/e")))
    tell("make dir on a file", value(lambda: f.make_dir("s/n/ew")))
    tell("remove", lambda: f.remove("s/n"))
    tell("remove missing", lambda: f.remove("s/n"))
    tell("removed", value(lambda: f.exists("s/n/ew")))


def watch(step, path, recursive):
    def events():
        h = box.files.watch_dir(path, recursive=recursive)
        box.commands.run("cd wd; echo 1 >a; chmod 600 a; mv a b; echo 2 >sub/f; rm b")
        time.sleep(0.4)
        got = [[e.type.value, e.name] for e in h.get_new_events()]
        h.stop()
        return {"events": got}

    box.commands.run("mkdir -p wd/sub; rm -f wd/b wd/sub/*")
    tell(step, events)


def info(step):
    def g():
        i = box.get_info()
        life = i.lifecycle or {}
        return {"id": i.sandbox_id, "template": i.template_id, "alias": i.name,
                "version": i.envd_version, "state": i.state.value, "metadata": i.metadata,
                "cpus": i.cpu_count, "memory": i.memory_mb,
                "minutes": round((i.end_at - i.started_at).total_seconds() / 60),
                "on_timeout": life.get("on_timeout"), "auto_resume": life.get("auto_resume")}
    tell(step, g)


def listing(mark):
    def pages():
        two = []
        for n in "ab":
            two.append(Sandbox.create(metadata={"list": mark, "n": n}, timeout=60))
            time.sleep(0.02)
        page = Sandbox.list(query=e2b.SandboxQuery(metadata={"list": mark}), limit=1)
        got = []
        while page.has_next:
            got.append([{"id": s.sandbox_id, "state": s.state.value, "n": s.metadata["n"]}
                        for s in page.next_items()])
        for s in two:
            s.kill()
        return {"pages": got}

    tell("pages", pages)


def pausing():
    tell("pause", value(box.pause))
    tell("pause again", value(box.pause))
    tell("is running", value(box.is_running))
    tell("paused", lambda: {"state": box.get_info().state.value})
    tell("connect to it", lambda: box.connect(timeout=300) and None)
    tell("is running again", value(box.is_running))
    tell("kept", lambda: {"text": box.files.read("s/many/a")})


def snapshots():
    made, twin = [], []
    if not tell("snapshot", lambda: made.append(box.create_snapshot())):
        return
    s = made[0].snapshot_id
    tell("snapshots", lambda: {"count": len(box.list_snapshots().next_items())})
    if tell("sandbox of it", lambda: twin.append(Sandbox.create(s))):
        tell("its file", lambda: {"text": twin[0].files.read("s/many/a")})
        twin[0].kill()
    tell("delete snapshot", value(lambda: Sandbox.delete_snapshot(s)))
    tell("delete snapshot again", value(lambda: Sandbox.delete_snapshot(s)))


def forking():
    forks = []

    def fork():
        forks.extend(f for f in box.fork(count=2, timeout=60) if isinstance(f, Sandbox))
        return {"count": len(forks)}

    tell("fork", fork)
    for f in forks:
        tell("file of a fork", lambda: {"text": f.files.read("s/many/a")})
        f.kill()


def measures():
    def metrics():
        for _ in range(40):
            got = box.get_metrics()
            if got:
                m = got[-1]
                return (m.cpu_count > 0 and m.cpu_used_pct >= 0 and m.mem_used > 0
                        and m.mem_total >= m.mem_used and m.disk_total > 0
                        and m.timestamp.timestamp() > time.time() - 120)
            time.sleep(0.25)
        return False

    tell("metrics", value(metrics))
    tell("set timeout", lambda: box.set_timeout(1200))
    info("info after it")
    tell("network", lambda: box.update_network({"allow_internet_access": True}))


def the_end():
    tell("end", value(box.kill))
    tell("end again", value(box.kill))
    tell("running after it", value(box.is_running))
    run("run after it", "true")
    info("info of none")
    tell("connect to none", lambda: box.connect() and None)


box = None


def main():
    global box
    mark = f"py{os.getpid()}"
    box = Sandbox.create(metadata={"run": mark, "k": "v & 1"}, envs={"G": "global ü"}, timeout=300)
    tell("create", lambda: {"id": box.sandbox_id})
    info("info")
    commands()
    background()
    terminal()
    files()
    watch("watch", "wd", False)
    watch("watch recursive", "wd", True)
    watch("watch missing", "no-such", False)
    tell("urls", lambda: {"download": box.download_url("u/ü x.txt", user="user"),
                          "upload": box.upload_url("u/y", user="user"),
                          "host": box.get_host(8080), "mcp": box.get_mcp_url()})
    listing(mark)
    pausing()
    snapshots()
    forking()
    measures()
    the_end()


main()
