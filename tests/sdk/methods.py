"""methods.py sync|async [METHOD...] - a scenario per method of the official Python
SDK, on the host that the environment names (run.sh sets it)."""
import asyncio
import datetime
import io
import os
import time
import uuid

import httpx
from check import main, scenario
import templates  # noqa: F401 - its scenarios

UTC = datetime.timezone.utc
GONE = "TimeoutException|NotFoundException|SandboxException"


def missing(t):
    return "SandboxException" if t.old else "NotFoundException"


def name():
    return uuid.uuid4().hex[:12]


# Ports of servers inside: sandboxes with internet share the network of the host, where
# other runs of this may be.
PORT = 20000 + os.getpid() % 4000 * 10


# ---- commands ----------------------------------------------------------------


@scenario("commands.run")
async def commands_run(t):
    r = await t.do(t.box.commands.run("echo out; echo err >&2"))
    t.eq("stdout", r.stdout, "out\n")
    t.eq("stderr", r.stderr, "err\n")
    t.eq("exit code 0", r.exit_code, 0)
    t.ok("no error", not r.error, r.error)
    e = await t.raises("non-zero is CommandExitException", "CommandExitException",
                       lambda: t.box.commands.run("echo partial; exit 7"))
    if e:
        t.eq("its exit code", e.exit_code, 7)
        t.eq("its stdout", e.stdout, "partial\n")
        t.eq("its error", e.error, "exit status 7")


@scenario("commands.run envs, cwd, user")
async def commands_run_options(t):
    run = t.box.commands.run
    r = await t.do(run('echo "$A|$B"', envs={"A": "x y", "B": "é\n'\"$"}))
    t.eq("envs", r.stdout, "x y|é\n'\"$\n")
    t.eq("cwd", (await t.do(run("pwd", cwd="/tmp"))).stdout, "/tmp\n")
    await t.raises("a cwd that is not there", "InvalidArgumentException",
                   lambda: run("pwd", cwd="/no/such"))
    t.eq("user root", (await t.do(run("id -un", user="root"))).stdout, "root\n")
    t.eq("the default user", (await t.do(run("id -un"))).stdout, "user\n")
    t.eq("home", (await t.do(run("echo $HOME; pwd"))).stdout, "/home/user\n/home/user\n")
    await t.raises("a user that is not there", "AuthenticationException",
                   lambda: run("true", user="nobody-such"))
    r = await t.do(run('echo $E2B_SANDBOX; echo $E2B_SANDBOX_ID; echo $E2B_TEMPLATE_ID'))
    told = r.stdout.split("\n")
    t.eq("E2B_SANDBOX", told[0], "true")
    t.eq("E2B_SANDBOX_ID", told[1], t.box.sandbox_id)
    t.ok("E2B_TEMPLATE_ID", len(told[2]) > 0, r.stdout)


@scenario("commands.run callbacks")
async def commands_run_callbacks(t):
    out, err = [], []
    r = await t.do(t.box.commands.run(
        "for i in 1 2 3; do echo o$i; echo e$i >&2; sleep .05; done",
        on_stdout=out.append, on_stderr=err.append))
    t.eq("on_stdout", "".join(out), "o1\no2\no3\n")
    t.eq("on_stderr", "".join(err), "e1\ne2\ne3\n")
    t.ok("in pieces, as it comes", len(out) >= 2, out)
    t.eq("and in the result", r.stdout, "".join(out))


@scenario("commands.run output")
async def commands_run_output(t):
    r = await t.do(t.box.commands.run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"))
    t.eq("3 MB", (len(r.stdout), r.stdout[-5:]), (3000005, "\nend\n"))
    if not t.old:  # which decodes each piece by itself
        r = await t.do(t.box.commands.run(
            "printf '\\xe2'; sleep .1; printf '\\x82'; sleep .1; printf '\\xac\\n'"))
        t.eq("a character in three pieces", r.stdout, "€\n")
    r = await t.do(t.box.commands.run("printf 'a\\xffb'"))
    t.eq("bytes that are no text", r.stdout, "a\ufffdb")
    r = await t.do(t.box.commands.run("true"))
    t.eq("nothing", (r.stdout, r.stderr), ("", ""))
    r = await t.do(t.box.commands.run("cat; echo done"))
    t.eq("stdin is empty unless asked for", r.stdout, "done\n")


@scenario("commands.run timeout")
async def commands_run_timeout(t):
    began = time.monotonic()
    await t.raises("TimeoutException", "TimeoutException",
                   lambda: t.box.commands.run("echo $$ >/tmp/slow; exec sleep 30", timeout=1))
    t.ok("in time", time.monotonic() - began < 5, time.monotonic() - began)
    r = await t.do(t.box.commands.run(
        "sleep .3; kill -0 $(cat /tmp/slow) 2>/dev/null && echo alive || echo dead"))
    t.eq("the process was killed", r.stdout, "dead\n")
    r = await t.do(t.box.commands.run("sleep .2; echo ok", timeout=0))
    t.eq("0 is none", r.stdout, "ok\n")


@scenario("commands.run retain_output", new=True)
async def commands_retain(t):
    seen = []
    r = await t.do(t.box.commands.run("echo x", on_stdout=seen.append, retain_output=False))
    t.eq("result without output", (r.stdout, r.stderr), (None, None))
    t.eq("callback has it", "".join(seen), "x\n")


@scenario("commands.run background")
async def commands_background(t):
    out = []
    began = time.monotonic()
    h = await t.start(t.box, "echo a; sleep .6; echo b", on_stdout=out.append)
    t.ok("returns at once", time.monotonic() - began < 0.5, time.monotonic() - began)
    t.ok("pid", isinstance(h.pid, int) and h.pid > 0, h.pid)
    r = await t.finish(h)
    t.eq("wait", (r.stdout, r.exit_code), ("a\nb\n", 0))
    t.eq("callbacks", "".join(out), "a\nb\n")
    h = await t.start(t.box, "exit 3")
    e = await t.raises("wait of a failed one", "CommandExitException", lambda: t.finish(h))
    t.eq("its code", e and e.exit_code, 3)


@scenario("commands.list")
async def commands_list(t):
    h = await t.start(t.box, "sleep 20", envs={"MARK": "m1"}, cwd="/tmp")
    found = [p for p in await t.do(t.box.commands.list()) if p.pid == h.pid]
    t.ok("is there", len(found) == 1, found)
    if found:
        p = found[0]
        t.eq("cmd", p.cmd, "/bin/bash")
        t.eq("args", list(p.args), ["-l", "-c", "sleep 20"])
        t.eq("envs", dict(p.envs).get("MARK"), "m1")
        t.eq("cwd", p.cwd, "/tmp")
    await t.do(h.kill())

    async def gone():
        return h.pid not in [p.pid for p in await t.do(t.box.commands.list())]

    t.ok("is gone after kill", await t.until(gone))


@scenario("commands.kill")
async def commands_kill(t):
    h = await t.start(t.box, "exec sleep 30")
    t.eq("True", await t.do(t.box.commands.kill(h.pid)), True)
    e = await t.raises("wait tells", "CommandExitException", lambda: t.finish(h))
    t.ok("signal", e and e.exit_code != 0 and "kill" in str(e.error), e)
    t.eq("no such process: False", await t.do(t.box.commands.kill(999999)), False)
    h = await t.start(t.box, "exec sleep 30")
    t.eq("handle.kill", await t.do(h.kill()), True)
    await t.raises("handle.wait tells", "CommandExitException", lambda: t.finish(h))


@scenario("commands.send_stdin")
async def commands_stdin(t):
    h = await t.start(t.box, "read a; echo got:$a; read b; echo got:$b", stdin=True)
    await t.do(t.box.commands.send_stdin(h.pid, "one\n"))
    await t.do(t.box.commands.send_stdin(h.pid, "zwei ü\n"))
    r = await t.finish(h)
    t.eq("two lines", r.stdout, "got:one\ngot:zwei ü\n")
    await t.raises("no such process", "NotFoundException",
                   lambda: t.box.commands.send_stdin(999999, "x"))
    h = await t.start(t.box, "sleep 1")
    await t.raises("a process without stdin", "SandboxException",
                   lambda: t.box.commands.send_stdin(h.pid, "x"))
    await t.do(h.kill())


@scenario("commands.close_stdin", new=True)
async def commands_close_stdin(t):
    h = await t.start(t.box, "wc -c", stdin=True)
    await t.do(t.box.commands.send_stdin(h.pid, b"\x00\xff123"))
    await t.do(t.box.commands.close_stdin(h.pid))
    t.eq("end of file", (await t.finish(h)).stdout.strip(), "5")
    h = await t.start(t.box, "cat", stdin=True)
    await t.do(h.send_stdin("by handle"))
    await t.do(h.close_stdin())
    t.eq("handle.send_stdin, close_stdin", (await t.finish(h)).stdout, "by handle")
    await t.raises("no such process", "NotFoundException",
                   lambda: t.box.commands.close_stdin(999999))


@scenario("commands.stream_input", new=True)
async def commands_stream_input(t):
    h = await t.start(t.box, "head -n 3", stdin=True)
    pieces = ["a\n", b"b\n", "c\n"]
    if t.is_async:
        async with t.box.commands.stream_input(h.pid) as stream:
            for p in pieces:
                await stream.send(p)
    else:
        t.box.commands.stream_input(h.pid, iter(pieces))
    t.eq("three pieces", (await t.finish(h)).stdout, "a\nb\nc\n")


@scenario("commands.connect")
async def commands_connect(t):
    h = await t.start(t.box, "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep .1; done")
    out = []
    if t.is_async:
        again = await t.box.commands.connect(h.pid, on_stdout=out.append)
        r = await again.wait()
    else:
        again = t.box.commands.connect(h.pid)
        r = again.wait(on_stdout=out.append)
    t.eq("pid", again.pid, h.pid)
    t.ok("output from then on", r.stdout.endswith("8\n"), r.stdout)
    t.eq("callbacks", "".join(out), r.stdout)
    t.eq("the first handle has all", (await t.finish(h)).stdout, "1\n2\n3\n4\n5\n6\n7\n8\n")
    await t.raises("no such process", "NotFoundException",
                   lambda: t.box.commands.connect(999999))


@scenario("commands.disconnect")
async def commands_disconnect(t):
    h = await t.start(t.box, "sleep 1; echo still >/tmp/still; sleep 3")
    await t.do(h.disconnect())
    pids = [p.pid for p in await t.do(t.box.commands.list())]
    t.ok("the process goes on", h.pid in pids, pids)
    t.ok("and does its work", await t.until(lambda: t.box.files.exists("/tmp/still"), 5))
    again = await t.do(t.box.commands.connect(h.pid))
    await t.do(again.kill())


@scenario("commands.run in parallel", sync=False)
async def commands_parallel(t):
    rs = await asyncio.gather(*(t.box.commands.run(f"sleep .3; echo {i}") for i in range(20)))
    t.eq("20 at once", [r.stdout for r in rs], [f"{i}\n" for i in range(20)])


# ---- terminals ---------------------------------------------------------------


class Terminal:
    """A PTY read until a text has come."""

    def __init__(self, t, box):
        self.t, self.box, self.seen, self.it = t, box, "", None

    def take(self, data):
        self.seen += data.decode("utf-8", "replace")

    async def open(self, **kw):
        size = self.t.sdk.PtySize(rows=kw.pop("rows", 24), cols=kw.pop("cols", 80)) \
            if hasattr(self.t.sdk, "PtySize") else None
        if size is None:
            from e2b.sandbox.commands.command_handle import PtySize
            size = PtySize(rows=24, cols=80)
        if self.t.is_async:
            self.handle = await self.box.pty.create(size, on_data=self.take, **kw)
        else:
            self.handle = self.box.pty.create(size, **kw)
            self.it = iter(self.handle)
        self.pid = self.handle.pid
        return self

    async def type(self, text):
        await self.t.do(self.box.pty.send_stdin(self.pid, text.encode()))

    async def see(self, text, seconds=10):
        end = time.monotonic() + seconds
        while text not in self.seen and time.monotonic() < end:
            if self.it is None:
                await asyncio.sleep(0.02)
            else:
                got = next(self.it, None)
                if got is None:
                    break
                if got[2] is not None:
                    self.take(got[2])
        return text in self.seen

    async def close(self):
        await self.t.do(self.box.pty.kill(self.pid))


def pty_size(t, rows, cols):
    from e2b.sandbox.commands.command_handle import PtySize
    return PtySize(rows=rows, cols=cols)


@scenario("pty.create")
async def pty_create(t):
    p = await Terminal(t, t.box).open(rows=30, cols=101, envs={"MINE": "v1"}, cwd="/tmp")
    t.ok("pid", p.pid > 0, p.pid)
    await p.type("stty size; echo t:$TERM m:$MINE w:$(pwd); tty; echo fin$((1+1))\n")
    t.ok("a shell that answers", await p.see("fin2"), p.seen)
    t.ok("size", "30 101" in p.seen, p.seen)
    t.ok("TERM, envs, cwd", "t:xterm-256color m:v1 w:/tmp" in p.seen, p.seen)
    t.ok("a terminal", "/dev/pts/" in p.seen, p.seen)
    if not t.old:
        await p.type("echo l:$LANG:$LC_ALL\n")
        t.ok("LANG and LC_ALL", await p.see("l:C.UTF-8:C.UTF-8"), p.seen)
    await p.close()


@scenario("pty.resize")
async def pty_resize(t):
    p = await Terminal(t, t.box).open()
    await p.type("echo ready$((1+1))\n")
    await p.see("ready2")
    await t.do(t.box.pty.resize(p.pid, pty_size(t, 55, 177)))
    await p.type("stty size; echo fin$((1+1))\n")
    t.ok("new size", await p.see("fin2") and "55 177" in p.seen, p.seen)
    # 2.6.0 lets the exception of its RPC library through.
    await t.raises("no such process", "NotFoundException|ConnectException",
                   lambda: t.box.pty.resize(999999, pty_size(t, 1, 1)))
    await p.close()


@scenario("pty.send_stdin")
async def pty_send(t):
    p = await Terminal(t, t.box).open(user="root")
    await p.type("id -un; cat\n")
    t.ok("user", await p.see("root\r\n"), p.seen)
    await p.type("täxt\n")
    t.ok("echo and output", await t.until(lambda: p.see("täxt\r\ntäxt", 5)), p.seen)
    p.seen = ""
    await p.type("\x03")
    await p.see("# ")  # typed before the shell reads again, it could be discarded
    await p.type("echo after$((1+1))\n")
    t.ok("^C ends the program, not the shell", await p.see("after2"), p.seen)
    await t.raises("no such process", "NotFoundException",
                   lambda: t.box.pty.send_stdin(999999, b"x"))
    await p.close()


@scenario("pty.kill")
async def pty_kill(t):
    p = await Terminal(t, t.box).open()
    t.eq("True", await t.do(t.box.pty.kill(p.pid)), True)
    await t.raises("wait tells", "CommandExitException", lambda: p.handle.wait())
    t.eq("no such process: False", await t.do(t.box.pty.kill(999999)), False)


@scenario("pty wait")
async def pty_wait(t):
    p = await Terminal(t, t.box).open()
    await p.type("exit 5\n")
    e = await t.raises("exit code of the shell", "CommandExitException", lambda: p.handle.wait())
    t.eq("5", e and e.exit_code, 5)
    p = await Terminal(t, t.box).open()
    await p.type("exit\n")
    t.eq("0", (await t.do(p.handle.wait())).exit_code, 0)


@scenario("pty.connect", new=True)
async def pty_connect(t):
    p = await Terminal(t, t.box).open()
    await p.type("X=kept; echo one$((1+1))\n")
    await p.see("one2")
    await t.do(p.handle.disconnect())
    seen = []
    if t.is_async:
        again = await t.box.pty.connect(p.pid, on_data=seen.append)
        await t.box.pty.send_stdin(p.pid, b"echo $X-two$((1+1)); exit\n")
        r = await again.wait()
    else:
        again = t.box.pty.connect(p.pid)
        t.box.pty.send_stdin(p.pid, b"echo $X-two$((1+1)); exit\n")
        r = again.wait(on_pty=seen.append)
    t.eq("pid", again.pid, p.pid)
    t.ok("the same shell", b"kept-two2" in b"".join(seen), seen)
    t.eq("its end", r.exit_code, 0)


@scenario("pty.stream_input", new=True)
async def pty_stream(t):
    p = await Terminal(t, t.box).open()
    if t.is_async:
        async with t.box.pty.stream_input(p.pid) as stream:
            await stream.send("echo str")
            await stream.send(b"eam$((1+1))\n")
    else:
        t.box.pty.stream_input(p.pid, iter(["echo str", b"eam$((1+1))\n"]))
    t.ok("typed", await p.see("stream2"), p.seen)
    await p.close()


# ---- files -------------------------------------------------------------------


@scenario("files.write")
async def files_write(t):
    f = t.box.files
    info = await t.do(f.write("w/deep/er/a.txt", "héllo\n"))
    t.eq("path, relative to the home", info.path, "/home/user/w/deep/er/a.txt")
    t.eq("name", info.name, "a.txt")
    t.eq("type", getattr(info.type, "value", info.type), "file")
    t.eq("text", await t.do(f.read("w/deep/er/a.txt")), "héllo\n")
    await t.do(f.write("w/deep/er/a.txt", "x"))
    t.eq("overwrites, shorter", await t.do(f.read("/home/user/w/deep/er/a.txt")), "x")
    data = bytes(range(256)) * 4096
    await t.do(f.write("w/bin", data))
    t.ok("1 MiB of bytes", bytes(await t.do(f.read("w/bin", format="bytes"))) == data)
    await t.do(f.write("w/io", io.BytesIO(b"from a file object")))
    t.eq("a file object", await t.do(f.read("w/io")), "from a file object")
    await t.do(f.write("w/empty", ""))
    t.eq("empty", await t.do(f.read("w/empty")), "")
    await t.do(f.write("w/sp ace ü #?&%41+.txt", "odd"))
    t.eq("an odd name", await t.do(f.read("w/sp ace ü #?&%41+.txt")), "odd")
    r = await t.do(t.box.commands.run("stat -c '%U %a' w/bin; stat -c %U w/deep"))
    t.eq("owner and mode", r.stdout, "user 644\nuser\n")
    await t.raises("onto a directory", "InvalidArgumentException|SandboxException",
                   lambda: f.write("w/deep", "x"))
    await t.do(f.write("/root/by-root", "r", user="root"))
    r = await t.do(t.box.commands.run("stat -c %U /root/by-root", user="root"))
    t.eq("user root", r.stdout, "root\n")
    await t.raises("a user that is not there", "AuthenticationException",
                   lambda: f.write("w/x", "x", user="nobody-such"))


@scenario("files.write_files")
async def files_write_files(t):
    f = t.box.files
    entries = [{"path": f"many/{i}/f.txt", "data": f"data {i}"} for i in range(12)]
    got = await t.do(f.write_files(entries))
    t.eq("entries", [(g.path, g.name) for g in got],
         [(f"/home/user/many/{i}/f.txt", "f.txt") for i in range(12)])
    t.eq("content", await t.do(f.read("many/7/f.txt")), "data 7")
    t.eq("none", await t.do(f.write_files([])), [])


@scenario("files.write octet-stream, gzip, metadata", new=True)
async def files_write_modes(t):
    f = t.box.files
    await t.do(f.write("m/octet", b"\x00raw", use_octet_stream=True))
    t.eq("use_octet_stream", bytes(await t.do(f.read("m/octet", format="bytes"))), b"\x00raw")
    text = "line of text\n" * 5000
    await t.do(f.write("m/gz", text, gzip=True))
    t.eq("gzip up", await t.do(f.read("m/gz")), text)
    t.eq("gzip down", await t.do(f.read("m/gz", gzip=True)), text)
    info = await t.do(f.write("m/meta", "x", metadata={"Colour": "blue", "n": "1"}))
    t.eq("metadata of the write", info.metadata, {"colour": "blue", "n": "1"})
    info = await t.do(f.get_info("m/meta"))
    t.eq("metadata of get_info", info.metadata, {"colour": "blue", "n": "1"})
    info = await t.do(f.write("m/meta", "y"))
    t.ok("cleared by the next write", not info.metadata, info.metadata)
    got = await t.do(f.write_files([{"path": "m/s1", "data": io.BytesIO(b"1")},
                                    {"path": "m/s2", "data": b"2"}], use_octet_stream=True))
    t.eq("several octet-streams", [g.name for g in got], ["s1", "s2"])


@scenario("files.read")
async def files_read(t):
    f = t.box.files
    await t.do(f.write("r.txt", "abc€"))
    t.eq("text", await t.do(f.read("r.txt")), "abc€")
    got = await t.do(f.read("r.txt", format="bytes"))
    t.eq("bytes", (type(got).__name__, bytes(got)), ("bytearray", "abc€".encode()))
    pieces = []
    stream = await t.do(f.read("r.txt", format="stream"))
    if hasattr(stream, "__aiter__"):
        async for p in stream:
            pieces.append(p)
    else:
        pieces.extend(stream)
    t.eq("stream", b"".join(pieces).decode(), "abc€")
    e = await t.raises("missing", "FileNotFoundException|NotFoundException",
                       lambda: f.read("no-such"))
    t.ok("its text", e and "does not exist" in str(e), e)
    await t.raises("a directory", "InvalidArgumentException", lambda: f.read("/tmp"))
    await t.raises("a user that is not there", "AuthenticationException",
                   lambda: f.read("r.txt", user="nobody-such"))
    r = await t.do(t.box.commands.run("id -u"))
    t.ok("a file of /proc", f"\nUid:\t{r.stdout.strip()}\t" in await t.do(f.read("/proc/self/status")))
    await t.do(t.box.commands.run("seq 200000 >r.big"))
    big = await t.do(f.read("r.big"))
    t.eq("1.3 MB", (len(big), big[-8:]), (1288895, "\n200000\n"))


@scenario("files.list")
async def files_list(t):
    f = t.box.files
    await t.do(t.box.commands.run(
        "mkdir -p l/b/c/d l/a; echo 1 >l/z; echo 2 >l/b/y; ln -s z l/link; chmod 640 l/z"))
    got = await t.do(f.list("l"))
    t.eq("names, in order", [g.name for g in got], ["a", "b", "link", "z"])
    t.eq("types", [g.type.value for g in got][:2], ["dir", "dir"])
    z = got[3]
    t.eq("path", z.path, "/home/user/l/z")
    t.eq("size, mode, permissions", (z.size, z.mode, z.permissions), (2, 0o640, "-rw-r-----"))
    t.eq("owner, group", (z.owner, z.group), ("user", "user"))
    age = abs((datetime.datetime.now(UTC) - z.modified_time.replace(
        tzinfo=z.modified_time.tzinfo or UTC)).total_seconds())
    t.ok("modified time", age < 60, z.modified_time)
    got = await t.do(f.list("l", depth=3))
    t.eq("depth", [g.path[len("/home/user/l/"):] for g in got],
         ["a", "b", "b/c", "b/c/d", "b/y", "link", "z"])
    t.eq("an empty directory", await t.do(f.list("l/a")), [])
    await t.raises("missing", "NotFoundException", lambda: f.list("no-such"))
    await t.raises("a file", "InvalidArgumentException", lambda: f.list("l/z"))
    await t.raises("depth 0", "InvalidArgumentException", lambda: f.list("l", depth=0))
    await t.do(t.box.commands.run("mkdir l/many; cd l/many; touch $(seq 2000)"))
    t.eq("2,000 entries", len(await t.do(f.list("l/many"))), 2000)


@scenario("files.exists")
async def files_exists(t):
    t.eq("a directory", await t.do(t.box.files.exists("/tmp")), True)
    t.eq("missing", await t.do(t.box.files.exists("/tmp/no-such")), False)
    await t.do(t.box.commands.run("ln -sfn /nowhere dangling"))
    t.eq("a dangling link", await t.do(t.box.files.exists("dangling")), True)


@scenario("files.get_info")
async def files_get_info(t):
    f = t.box.files
    await t.do(t.box.commands.run("mkdir -p gi/d; printf 12345 >gi/f; chmod 755 gi/f; "
                                  "ln -sfn f gi/link; ln -sfn d gi/dlink"))
    i = await t.do(f.get_info("gi/f"))
    t.eq("file", (i.name, i.path, i.type.value, i.size, i.mode, i.permissions),
         ("f", "/home/user/gi/f", "file", 5, 0o755, "-rwxr-xr-x"))
    i = await t.do(f.get_info("gi/d"))
    t.eq("directory", (i.type.value, i.permissions[0]), ("dir", "d"))
    i = await t.do(f.get_info("gi/link"))
    t.eq("permissions of a link", i.permissions[0].lower(), "l")
    if not t.old:
        t.eq("target of a link", i.symlink_target, "/home/user/gi/f")
    await t.raises("missing", "NotFoundException", lambda: f.get_info("gi/no-such"))


@scenario("files.remove")
async def files_remove(t):
    f = t.box.files
    await t.do(t.box.commands.run("mkdir -p rm/d/e; touch rm/f rm/d/e/x; ln -s /tmp rm/link"))
    await t.do(f.remove("rm/f"))
    t.eq("a file", await t.do(f.exists("rm/f")), False)
    await t.do(f.remove("rm/link"))
    t.eq("a link, not its target", (await t.do(f.exists("rm/link")), await t.do(f.exists("/tmp"))),
         (False, True))
    await t.do(f.remove("rm/d"))
    t.eq("a tree", await t.do(f.exists("rm/d")), False)
    t.eq("missing is no error", await t.do(f.remove("rm/none")), None)


@scenario("files.rename")
async def files_rename(t):
    f = t.box.files
    await t.do(f.write("mv/a", "1"))
    i = await t.do(f.rename("mv/a", "mv/new/b"))
    t.eq("entry", (i.name, i.path, i.type.value), ("b", "/home/user/mv/new/b", "file"))
    t.eq("moved", (await t.do(f.exists("mv/a")), await t.do(f.read("mv/new/b"))), (False, "1"))
    i = await t.do(f.rename("mv/new", "mv/other"))
    t.eq("a directory", (i.type.value, await t.do(f.read("mv/other/b"))), ("dir", "1"))
    await t.raises("missing", "NotFoundException", lambda: f.rename("mv/none", "mv/x"))


@scenario("files.make_dir")
async def files_make_dir(t):
    f = t.box.files
    t.eq("True", await t.do(f.make_dir("md/a/b")), True)
    t.eq("False: there already", await t.do(f.make_dir("md/a/b")), False)
    t.eq("is a directory", (await t.do(f.get_info("md/a/b"))).type.value, "dir")
    await t.do(f.write("md/file", "x"))
    await t.raises("a file is there", "InvalidArgumentException", lambda: f.make_dir("md/file"))


class Watch:
    """files.watch_dir: callbacks of the async classes, questions of the sync ones."""

    def __init__(self, t):
        self.t, self.events, self.ended = t, [], []

    async def open(self, path, **kw):
        if self.t.is_async:
            self.handle = await self.t.box.files.watch_dir(
                path, on_event=self.events.append, on_exit=lambda *a: self.ended.append(a), **kw)
        else:
            self.handle = self.t.box.files.watch_dir(path, **kw)
        return self

    def take(self):
        if not self.t.is_async:
            self.events.extend(self.handle.get_new_events())

    async def see(self, kind, name, seconds=5):
        def there():
            self.take()
            return [e for e in self.events if e.type.value == kind and e.name == name]

        found = await self.t.until(there, seconds)
        return found[0] if found else None

    def told(self):
        return [(e.type.value, e.name) for e in self.events]


@scenario("files.watch_dir")
async def files_watch(t):
    run = t.box.commands.run
    await t.do(run("mkdir -p wd/sub; touch wd/old"))
    w = await Watch(t).open("wd")
    await t.do(t.box.files.write("wd/a", "1"))
    t.ok("create", await w.see("create", "a"), w.told())
    t.ok("write", await w.see("write", "a"), w.told())
    await t.do(run("chmod 600 wd/old"))
    t.ok("chmod", await w.see("chmod", "old"), w.told())
    await t.do(run("mv wd/old wd/new"))
    t.ok("rename, the old name", await w.see("rename", "old"), w.told())
    t.ok("rename, the new one is a create", await w.see("create", "new"), w.told())
    await t.do(run("rm wd/new"))
    t.ok("remove", await w.see("remove", "new"), w.told())
    await t.do(run("mkdir wd/dir; echo x >wd/sub/deep; sleep .2"))
    t.ok("a new directory", await w.see("create", "dir"), w.told())
    w.take()
    t.ok("not below it", not any("deep" in n for _, n in w.told()), w.told())
    await t.do(w.handle.stop())
    n = len(w.events)
    await t.do(run("touch wd/later; sleep .2"))
    if t.is_async:
        t.eq("nothing after stop", len(w.events), n)
        t.eq("on_exit", len(w.ended), 0 if t.old else 1)
    else:
        await t.raises("get_new_events after stop", "SandboxException",
                       lambda: w.handle.get_new_events())
    await t.raises("missing", "NotFoundException|SandboxException",
                   lambda: Watch(t).open("no-such"))
    await t.do(t.box.files.write("wf", "1"))
    await t.raises("a file", "InvalidArgumentException|SandboxException",
                   lambda: Watch(t).open("wf"))


@scenario("files.watch_dir recursive")
async def files_watch_recursive(t):
    run = t.box.commands.run
    await t.do(run("mkdir -p wr/a/b"))
    w = await Watch(t).open("wr", recursive=True)
    await t.do(run("echo 1 >wr/a/b/f"))
    t.ok("two below", await w.see("create", "a/b/f"), w.told())
    await t.do(run("mkdir -p wr/x/y"))
    t.ok("a directory made later", await w.see("create", "x"), w.told())
    await t.sleep(0.3)
    await t.do(run("echo 1 >wr/x/y/g"))
    t.ok("a file in it", await w.see("write", "x/y/g"), w.told())
    await t.do(w.handle.stop())


@scenario("files.watch_dir include_entry", new=True)
async def files_watch_entry(t):
    await t.do(t.box.files.make_dir("we"))
    w = await Watch(t).open("we", include_entry=True)
    await t.do(t.box.files.write("we/f", "12345"))
    e = await w.see("write", "f")
    t.ok("entry", e and e.entry is not None, w.told())
    if e and e.entry:
        t.eq("of it", (e.entry.name, e.entry.path, e.entry.type.value),
             ("f", "/home/user/we/f", "file"))
    await t.do(w.handle.stop())
    w = await Watch(t).open("we", allow_network_mounts=True)
    await t.do(w.handle.stop())
    t.ok("allow_network_mounts", True)


# ---- URLs, hosts -------------------------------------------------------------


def web(t, method, url, **kw):
    """A plain HTTP client that knows nothing of the sandbox."""
    with httpx.Client(verify=t.ca or True, timeout=20, trust_env=False) as c:
        return c.request(method, url, **kw)


@scenario("download_url")
async def download_url(t):
    f = t.box.files
    await t.do(f.write("url dir/ü.txt", "by url"))
    url = t.box.download_url("url dir/ü.txt", user="user")
    r = web(t, "GET", url)
    t.eq("GET", (r.status_code, r.text), (200, "by url"))
    r = web(t, "GET", t.box.download_url("/home/user/url dir/ü.txt", use_signature_expiration=60))
    t.eq("with an end", (r.status_code, r.text), (200, "by url"))
    r = web(t, "GET", url, headers={"Range": "bytes=3-"})
    t.eq("a range", (r.status_code, r.text), (206, "url"))
    r = web(t, "GET", t.box.download_url("/home/user/url dir/ü.txt", use_signature_expiration=-10))
    t.ok("too late", r.status_code == 401 and "expired" in r.text, r.text)
    r = web(t, "GET", url.replace("dir", "dor"))
    t.ok("another path", r.status_code == 401 and "invalid signature" in r.text, r.text)
    r = web(t, "GET", url.split("&signature")[0])
    t.eq("no signature", r.status_code, 401)
    r = web(t, "GET", t.box.download_url("none.txt", user="user"))
    t.eq("missing", r.status_code, 404)


@scenario("upload_url")
async def upload_url(t):
    url = t.box.upload_url("up/loaded.txt", user="user", use_signature_expiration=60)
    r = web(t, "POST", url, files={"file": ("x", b"sent by url")})
    t.eq("POST", r.status_code, 200)
    t.eq("content", await t.do(t.box.files.read("up/loaded.txt")), "sent by url")
    r = web(t, "POST", t.box.download_url("up/loaded.txt", user="user"), files={"file": b"x"})
    t.eq("a signature for reading", r.status_code, 401)


def sandbox_headers(t, box, port):
    return {"E2b-Sandbox-Id": box.sandbox_id, "E2b-Sandbox-Port": str(port)}


@scenario("get_host")
async def get_host(t):
    host = t.box.get_host(PORT)
    t.eq("name", host, f"{PORT}-{t.box.sandbox_id}.{t.domain}")
    h = await t.start(t.box, "cd /tmp && echo hi >index.txt && "
                             f"exec python3 -m http.server {PORT} --bind 127.0.0.1", timeout=0)

    def ask():
        r = web(t, "GET", t.url + "/index.txt", headers={"Host": host})
        return r if r.status_code == 200 else None

    r = await t.until(ask, 8, 0.2)
    t.eq("by host name", r and r.text, "hi\n")
    r = web(t, "GET", t.url + "/index.txt", headers=sandbox_headers(t, t.box, PORT))
    t.eq("by headers", (r.status_code, r.text), (200, "hi\n"))
    r = web(t, "GET", t.url + "/none", headers={"Host": host})
    t.eq("the server's own 404", r.status_code, 404)
    r = web(t, "GET", t.url + "/", headers={"Host": t.box.get_host(PORT + 1)})
    t.ok("a port that is not open", r.status_code == 502 and "port is not open" in r.text, r.text)
    await t.do(h.kill())


@scenario("get_host of two sandboxes")
async def get_host_twice(t):
    boxes = [await t.create(), await t.create()]
    for box in boxes:
        await t.do(box.files.write("/tmp/w/i", box.sandbox_id))
        await t.start(box, f"cd /tmp/w && exec python3 -m http.server {PORT + 2}", timeout=0)

    def both():
        got = [web(t, "GET", t.url + "/i", headers={"Host": b.get_host(PORT + 2)}).text
               for b in boxes]
        return got == [b.sandbox_id for b in boxes]

    t.ok("servers on the same port of both", await t.until(both, 5, 0.2))
    for box in boxes:
        await t.do(box.kill())


@scenario("traffic_access_token", new=True)
async def traffic_token(t):
    box = await t.create(network={"allow_public_traffic": False})
    token = box.traffic_access_token
    t.ok("token", isinstance(token, str) and len(token) > 8, token)
    h = await t.start(box, f"cd /tmp && echo hi >i && exec python3 -m http.server {PORT + 3}",
                      timeout=0)
    with_token = {"Host": box.get_host(PORT + 3), "e2b-traffic-access-token": token or ""}

    def ask():
        r = web(t, "GET", t.url + "/i", headers=with_token)
        return r if r.status_code == 200 else None

    r = await t.until(ask, 8, 0.2)
    t.eq("with it", r and r.text, "hi\n")
    r = web(t, "GET", t.url + "/i", headers={"Host": box.get_host(PORT + 3)})
    t.ok("without", r.status_code == 403 and "missing" in r.text, r.text)
    r = web(t, "GET", t.url + "/i", headers={**with_token, "e2b-traffic-access-token": "no"})
    t.ok("a wrong one", r.status_code == 403 and "invalid" in r.text, r.text)
    t.eq("none where traffic is public", t.box.traffic_access_token, None)
    await t.do(h.kill())
    await t.do(box.kill())


@scenario("get_mcp_url, get_mcp_token")
async def mcp(t):
    t.eq("url", t.box.get_mcp_url(), f"https://50005-{t.box.sandbox_id}.{t.domain}/mcp")
    await t.do(t.box.files.write("/etc/mcp-gateway/.token", "tok", user="root"))
    t.eq("token", await t.do(t.box.get_mcp_token()), "tok")


# ---- sandboxes ---------------------------------------------------------------


@scenario("Sandbox.create")
async def sandbox_create(t):
    box = await t.create(timeout=60, metadata={"k": "v 1"}, envs={"G": "global"})
    t.ok("id", box.sandbox_id.isalnum() and len(box.sandbox_id) >= 10, box.sandbox_id)
    r = await t.do(box.commands.run("echo $G"))
    t.eq("envs", r.stdout, "global\n")
    r = await t.do(box.commands.run("echo $G", envs={"G": "own"}))
    t.eq("envs of a command win", r.stdout, "own\n")
    i = await t.do(box.get_info())
    t.eq("metadata", i.metadata, {"k": "v 1"})
    t.ok("timeout", 50 <= (i.end_at - i.started_at).total_seconds() <= 70, (i.started_at, i.end_at))
    other = await t.create()
    await t.do(other.files.write("/tmp/only-here", "x"))
    t.eq("sandboxes do not see each other", await t.do(box.files.exists("/tmp/only-here")), False)
    await t.do(other.kill())
    await t.do(box.kill())
    await t.raises("a template that is not there", "SandboxException|NotFoundException",
                   lambda: t.Sandbox.create("no-such-template"))
    await t.raises("a wrong key", "AuthenticationException",
                   lambda: t.Sandbox.create(api_key="e2b_" + "f" * 40))


@scenario("Sandbox.create by template")
async def sandbox_create_template(t):
    box = await t.create(template="base")
    i = await t.do(box.get_info())
    t.eq("alias", i.name, "base")
    again = await t.create(template=i.template_id)
    t.eq("by id", (await t.do(again.get_info())).template_id, i.template_id)
    await t.do(again.kill())
    await t.do(box.kill())


@scenario("Sandbox.create allow_internet_access")
async def sandbox_internet(t):
    box = await t.create(allow_internet_access=False)
    i = await t.do(box.get_info())
    if not t.old:
        t.eq("told", i.allow_internet_access, False)
    r = await t.do(box.commands.run("tail -n +2 /proc/net/route"))
    t.eq("no way out", r.stdout, "")
    h = await t.start(box, f"exec python3 -m http.server {PORT + 4}", timeout=0)

    def ask():
        r = web(t, "GET", t.url + "/", headers={"Host": box.get_host(PORT + 4)})
        return r.status_code == 200

    t.ok("its servers are reached all the same", await t.until(ask, 8, 0.2))
    await t.do(h.kill())
    await t.do(box.kill())


@scenario("Sandbox.create idempotency_key", new=True)
async def sandbox_idempotency(t):
    key = name()
    a = await t.create(idempotency_key=key)
    b = await t.create(idempotency_key=key)
    t.eq("the same sandbox", b.sandbox_id, a.sandbox_id)
    await t.raises("the same key, another request", "SandboxException",
                   lambda: t.Sandbox.create(idempotency_key=key, metadata={"other": "1"}))
    await t.do(a.kill())


@scenario("Sandbox.create secure", old=True)
async def sandbox_insecure(t):
    box = await t.create(secure=False)
    t.eq("commands", (await t.do(box.commands.run("echo x"))).stdout, "x\n")
    r = web(t, "GET", t.url + "/files?path=/etc/hostname",
            headers=sandbox_headers(t, box, 49983))
    t.eq("no token needed", r.status_code, 200)
    await t.do(box.kill())


@scenario("access token")
async def secure(t):
    r = web(t, "GET", t.url + "/metrics", headers=sandbox_headers(t, t.box, 49983))
    t.eq("needed", r.status_code, 401)
    r = web(t, "GET", t.url + "/metrics", headers={**sandbox_headers(t, t.box, 49983),
                                                   "X-Access-Token": "no"})
    t.eq("a wrong one", r.status_code, 401)
    r = web(t, "GET", t.url + "/health", headers=sandbox_headers(t, t.box, 49983))
    t.eq("not for /health", r.status_code, 204)


@scenario("Sandbox.connect")
async def sandbox_connect(t):
    box = await t.create(timeout=200)
    again = await t.do(t.Sandbox.connect(box.sandbox_id))
    t.eq("by id", again.sandbox_id, box.sandbox_id)
    await t.do(again.files.write("c", "x"))
    t.eq("the same sandbox", await t.do(box.files.read("c")), "x")
    before = (await t.do(box.get_info())).end_at
    await t.do(t.Sandbox.connect(box.sandbox_id, timeout=20))
    t.ok("never shortens", (await t.do(box.get_info())).end_at >= before)
    await t.do(box.connect(timeout=1000))
    i = await t.do(box.get_info())
    t.ok("connect of a handle lengthens", (i.end_at - before).total_seconds() > 500, i.end_at)
    await t.do(box.kill())
    await t.raises("gone", missing(t), lambda: t.Sandbox.connect(box.sandbox_id))


@scenario("Sandbox.list")
async def sandbox_list(t):
    mark, first = name(), None
    boxes = []
    for i in range(3):
        boxes.append(await t.create(metadata={"run": mark, "a b": f"c&d={i}"}))
    query = t.sdk.SandboxQuery(metadata={"run": mark})
    page = t.Sandbox.list(query=query)
    got = await t.do(page.next_items())
    t.eq("by metadata", sorted(g.sandbox_id for g in got), sorted(b.sandbox_id for b in boxes))
    t.eq("newest first", [g.sandbox_id for g in got], [b.sandbox_id for b in reversed(boxes)])
    t.eq("has_next", page.has_next, False)
    await t.raises("past the end", "Exception", lambda: page.next_items())
    got = await t.do(t.Sandbox.list(
        query=t.sdk.SandboxQuery(metadata={"run": mark, "a b": "c&d=1"})).next_items())
    t.eq("odd characters", [g.sandbox_id for g in got], [boxes[1].sandbox_id])
    page, seen = t.Sandbox.list(query=query, limit=2), []
    while page.has_next:
        items = await t.do(page.next_items())
        t.ok("pages of 2", len(items) <= 2, len(items))
        seen += [g.sandbox_id for g in items]
        first = first or page.next_token
    t.eq("all pages", seen, [b.sandbox_id for b in reversed(boxes)])
    page = t.Sandbox.list(query=query, limit=2, next_token=first)
    t.eq("from a token", [g.sandbox_id for g in await t.do(page.next_items())],
         [boxes[0].sandbox_id])
    item = got[0]
    t.eq("template, state", (item.name, getattr(item.state, "value", item.state)),
         ("base", "running"))
    t.ok("cpu and memory", item.cpu_count >= 1 and item.memory_mb >= 1, item)
    paused = t.sdk.SandboxQuery(metadata={"run": mark}, state=[t.sdk.SandboxState.PAUSED])
    t.eq("state paused: none", await t.do(t.Sandbox.list(query=paused).next_items()), [])
    pause = boxes[2].beta_pause if t.old else boxes[2].pause
    await t.do(pause())
    t.eq("state paused: one",
         [g.sandbox_id for g in await t.do(t.Sandbox.list(query=paused).next_items())],
         [boxes[2].sandbox_id])
    for b in boxes:
        await t.do(b.kill())
    t.eq("none left", await t.do(t.Sandbox.list(query=query).next_items()), [])


@scenario("Sandbox.list order, started_after, template", new=True)
async def sandbox_list_more(t):
    mark = name()
    a = await t.create(metadata={"run": mark})
    await t.sleep(1.1)
    b = await t.create(metadata={"run": mark})
    begun = (await t.do(b.get_info())).started_at
    q = t.sdk.SandboxQuery

    async def ids(query, **kw):
        return [g.sandbox_id for g in await t.do(t.Sandbox.list(query=query, **kw).next_items())]

    t.eq("order asc", await ids(q(metadata={"run": mark}), order="asc"),
         [a.sandbox_id, b.sandbox_id])
    t.eq("started_after", await ids(q(metadata={"run": mark}, started_after=begun)),
         [b.sandbox_id])
    t.eq("template", await ids(q(metadata={"run": mark}, template="base")),
         [b.sandbox_id, a.sandbox_id])
    t.eq("another template", await ids(q(metadata={"run": mark}, template="no-such")), [])
    await t.do(a.kill())
    await t.do(b.kill())


@scenario("Sandbox.get_info")
async def sandbox_get_info(t):
    i = await t.do(t.box.get_info())
    t.eq("id", i.sandbox_id, t.box.sandbox_id)
    t.eq("state", getattr(i.state, "value", i.state), "running")
    now = datetime.datetime.now(UTC)
    t.ok("times", i.started_at <= now + datetime.timedelta(seconds=5) < i.end_at, i)
    t.ok("version", i.envd_version >= "0.6.4", i.envd_version)
    j = await t.do(t.Sandbox.get_info(t.box.sandbox_id))
    t.eq("by id", (j.sandbox_id, j.template_id), (i.sandbox_id, i.template_id))
    await t.raises("missing", missing(t), lambda: t.Sandbox.get_info("inosuchsandbox"))


@scenario("Sandbox.is_running")
async def sandbox_is_running(t):
    box = await t.create()
    t.eq("True", await t.do(box.is_running()), True)
    await t.do(box.kill())
    t.eq("False after kill", await t.do(box.is_running()), False)


@scenario("Sandbox.set_timeout")
async def sandbox_set_timeout(t):
    box = await t.create(timeout=300)
    await t.do(box.set_timeout(600))
    i = await t.do(box.get_info())
    left = (i.end_at - datetime.datetime.now(UTC)).total_seconds()
    t.ok("longer", 580 < left < 610, left)
    await t.do(t.Sandbox.set_timeout(box.sandbox_id, 1))
    t.ok("shorter, and it fires",
         await t.until(lambda: not_running(t, box), 6, 0.2))
    await t.raises("missing", missing(t), lambda: box.set_timeout(10))


async def not_running(t, box):
    return not await t.do(box.is_running())


@scenario("Sandbox.kill")
async def sandbox_kill(t):
    box = await t.create()
    h = await t.start(box, "sleep 30")
    t.eq("True", await t.do(box.kill()), True)
    await t.raises("a command that ran", "Exception", lambda: t.finish(h))
    t.eq("again: False", await t.do(box.kill()), False)
    box = await t.create()
    t.eq("by id", await t.do(t.Sandbox.kill(box.sandbox_id)), True)
    await t.raises("commands afterwards", GONE, lambda: box.commands.run("true"))
    await t.raises("files afterwards", GONE, lambda: box.files.read("x"))


@scenario("with Sandbox.create()")
async def sandbox_context(t):
    box = await t.do(t.Sandbox.create(timeout=60))
    if t.is_async:
        async with box:
            await box.commands.run("true")
    else:
        with box:
            box.commands.run("true")
    await t.raises("killed at the end", missing(t), lambda: box.get_info())


async def state(t, box):
    i = await t.do(t.Sandbox.get_info(box.sandbox_id))
    return getattr(i.state, "value", i.state)


@scenario("Sandbox.pause")
async def sandbox_pause(t):
    box = await t.create()
    pause = box.beta_pause if t.old else box.pause
    h = await t.start(box, "i=0; while :; do i=$((i+1)); echo $i >/tmp/n; sleep .05; done",
                      timeout=0)
    await t.until(lambda: box.files.exists("/tmp/n"), 3)
    await t.do(h.disconnect())
    await t.do(box.files.write("kept", "x"))
    got = await t.do(pause())
    t.ok("True", got is True or (t.old and got is None), got)
    t.eq("state", await state(t, box), "paused")
    t.eq("is_running", await t.do(box.is_running()), False)
    if not t.old:
        t.eq("again: False", await t.do(pause()), False)
    again = await t.do(t.Sandbox.connect(box.sandbox_id, timeout=100))
    t.eq("connect resumes", await state(t, box), "running")
    t.eq("files are kept", await t.do(again.files.read("kept")), "x")
    a = await t.do(again.files.read("/tmp/n"))
    t.ok("processes go on", await t.until(lambda: differs(t, again, a), 3), a)
    t.ok("under their pid", h.pid in [p.pid for p in await t.do(again.commands.list())])
    await t.do(pause())
    t.eq("kill of a paused one", await t.do(box.kill()), True)
    await t.raises("missing", "NotFoundException",
                   lambda: t.Sandbox.beta_pause("inosuchsandbox") if t.old
                   else t.Sandbox.pause("inosuchsandbox"))


async def differs(t, box, before):
    return await t.do(box.files.read("/tmp/n")) not in (before, "")


@scenario("Sandbox.pause by id, filesystem only", new=True)
async def sandbox_pause_more(t):
    box = await t.create()
    await t.do(box.files.write("kept", "x"))
    h = await t.start(box, "sleep 60", timeout=0)
    await t.do(h.disconnect())
    t.eq("by id", await t.do(t.Sandbox.pause(box.sandbox_id, mode="filesystem")), True)
    await t.raises("commands while paused", GONE, lambda: box.commands.run("true", timeout=5))
    await t.do(box.connect(timeout=60))
    t.eq("connect of the handle", await t.do(box.files.read("kept")), "x")
    t.eq("processes are gone", [p.pid for p in await t.do(box.commands.list())], [])
    t.eq("beta_pause", await t.do(box.beta_pause()), True)
    await t.do(t.Sandbox.connect(box.sandbox_id, on_resume="reboot"))
    t.eq("on_resume=reboot", await t.do(box.files.read("kept")), "x")
    await t.do(box.kill())


@scenario("Sandbox.create lifecycle", new=True)
async def sandbox_lifecycle(t):
    box = await t.create(timeout=2, lifecycle={"on_timeout": "pause"})
    i = await t.do(box.get_info())
    t.eq("told", dict(i.lifecycle or {}).get("on_timeout"), "pause")
    auto = await t.create(timeout=2, lifecycle={"on_timeout": "pause", "auto_resume": True})
    await t.do(auto.files.write("kept", "x"))
    i = await t.do(auto.get_info())
    t.eq("told: auto_resume", dict(i.lifecycle or {}).get("auto_resume"), True)

    async def both_paused():
        return (await state(t, box), await state(t, auto)) == ("paused", "paused")

    t.ok("the timeout pauses", await t.until(both_paused, 8, 0.2))
    t.eq("traffic wakes it", await t.do(auto.files.read("kept")), "x")
    t.eq("it runs", await state(t, auto), "running")
    t.eq("nothing wakes the other", await t.do(box.is_running()), False)
    t.eq("still paused", await state(t, box), "paused")
    await t.do(auto.kill())
    await t.do(box.kill())


@scenario("Sandbox.beta_create auto_pause", old=True)
async def sandbox_beta_create(t):
    box = await t.do(t.Sandbox.beta_create(timeout=2, auto_pause=True))
    t.boxes.append(box)

    async def paused():
        return await state(t, box) == "paused"

    t.ok("the timeout pauses", await t.until(paused, 8, 0.2))
    again = await t.do(t.Sandbox.connect(box.sandbox_id, timeout=60))
    t.eq("connect resumes", (await t.do(again.commands.run("echo x"))).stdout, "x\n")
    await t.do(box.kill())


@scenario("Sandbox.create_snapshot", new=True)
async def snapshot(t):
    box = await t.create()
    await t.do(box.files.write("snap/f", "before"))
    await t.do(box.commands.run("chmod 700 snap/f; ln -s f snap/l"))
    s = await t.do(box.create_snapshot())
    t.ok("id", bool(s.snapshot_id), s)
    await t.do(box.files.write("snap/f", "after"))
    t.eq("the sandbox goes on", await t.do(box.files.read("snap/f")), "after")
    twin = await t.create(template=s.snapshot_id)
    t.eq("a sandbox of it has the files", await t.do(twin.files.read("snap/f")), "before")
    r = await t.do(twin.commands.run("stat -c '%a %U' snap/f; readlink snap/l"))
    t.eq("modes, owners, links", r.stdout, "700 user\nf\n")
    await t.do(twin.kill())
    named = name()
    s2 = await t.do(t.Sandbox.create_snapshot(box.sandbox_id, name=named))
    t.ok("by id, with a name", any(named in n for n in s2.names), s2.names)
    await t.do(box.kill())
    twin = await t.create(template=s2.snapshot_id)
    t.eq("it survives its sandbox", await t.do(twin.files.read("snap/f")), "after")
    await t.do(twin.kill())
    t.eq("delete_snapshot", await t.do(t.Sandbox.delete_snapshot(s.snapshot_id)), True)
    t.eq("delete_snapshot again: False",
         await t.do(t.Sandbox.delete_snapshot(s.snapshot_id)), False)
    t.eq("the other", await t.do(t.Sandbox.delete_snapshot(s2.snapshot_id)), True)
    await t.raises("a sandbox of a deleted one", "Exception",
                   lambda: t.Sandbox.create(s.snapshot_id))


@scenario("Sandbox.list_snapshots", new=True)
async def snapshot_list(t):
    box = await t.create()
    made = [(await t.do(box.create_snapshot())).snapshot_id for _ in range(3)]
    page = box.list_snapshots()
    t.eq("of this sandbox", sorted(s.snapshot_id for s in await t.do(page.next_items())),
         sorted(made))
    page, seen = t.Sandbox.list_snapshots(sandbox_id=box.sandbox_id, limit=2), []
    while page.has_next:
        seen += [s.snapshot_id for s in await t.do(page.next_items())]
    t.eq("pages", sorted(seen), sorted(made))
    every, page = [], t.Sandbox.list_snapshots()
    while page.has_next:
        every += [s.snapshot_id for s in await t.do(page.next_items())]
    t.ok("all", set(made) <= set(every), every)
    for s in made:
        await t.do(t.Sandbox.delete_snapshot(s))
    t.eq("none", await t.do(box.list_snapshots().next_items()), [])
    await t.do(box.kill())


@scenario("Sandbox.fork", new=True)
async def sandbox_fork(t):
    box = await t.create(envs={"G": "global"})
    await t.do(box.files.write("f", "shared"))
    forks = await t.do(box.fork(count=2, timeout=60))
    t.eq("two", [type(f).__name__ for f in forks], [type(box).__name__] * 2)
    good = [f for f in forks if not isinstance(f, Exception)]
    t.boxes += good
    t.eq("other ids", len({box.sandbox_id, *(f.sandbox_id for f in good)}), 3)
    for f in good:
        t.eq("its files", await t.do(f.files.read("f")), "shared")
        t.eq("its envs", (await t.do(f.commands.run("echo $G"))).stdout, "global\n")
    if good:
        await t.do(good[0].files.write("f", "own"))
        t.eq("apart from each other",
             [await t.do(b.files.read("f")) for b in [box, *good[1:]]], ["shared"] * len(good))
    by_id = await t.do(t.Sandbox.fork(box.sandbox_id))
    t.eq("by id", len(by_id), 1)
    t.boxes += [f for f in by_id if not isinstance(f, Exception)]
    await t.raises("count 0", "InvalidArgumentException", lambda: box.fork(count=0))
    await t.do(box.kill())
    await t.raises("missing", "NotFoundException", lambda: box.fork())


@scenario("Sandbox.get_metrics")
async def sandbox_metrics(t):
    box = await t.create()
    h = await t.start(box, "while :; do :; done", timeout=0)
    got = await t.until(lambda: box.get_metrics(), 12, 0.5)
    t.ok("measured", len(got or []) > 0, got)
    if got:
        m = got[-1]
        t.ok("cpu", m.cpu_count >= 1 and 0 <= m.cpu_used_pct <= 100 * m.cpu_count + 1, m)
        t.ok("memory", 0 < m.mem_used <= m.mem_total, m)
        t.ok("disk", 0 <= m.disk_used <= m.disk_total and m.disk_total > 0, m)
        age = abs((datetime.datetime.now(UTC) - m.timestamp).total_seconds())
        t.ok("timestamp", age < 60, m.timestamp)
        later = datetime.datetime.now(UTC) + datetime.timedelta(hours=1)
        t.eq("from a later start", await t.do(box.get_metrics(start=later)), [])
        early = datetime.datetime.now(UTC) - datetime.timedelta(hours=1)
        if not t.old:  # which sends milliseconds where seconds are meant
            t.ok("by id, with start and end", len(await t.do(t.Sandbox.get_metrics(
                box.sandbox_id, start=early, end=later))) >= len(got))

        async def busy():
            return any(m.cpu_used_pct > 5 for m in await t.do(box.get_metrics()))

        t.ok("a busy loop shows", await t.until(busy, 12, 0.5))
    await t.do(h.kill())
    await t.do(box.kill())
    await t.raises("missing", missing(t),
                   lambda: t.Sandbox.get_metrics("inosuchsandbox"))


@scenario("Sandbox.update_network", new=True)
async def sandbox_network(t):
    box = await t.create()
    t.eq("taken", await t.do(box.update_network({"deny_out": ["0.0.0.0/0"]})), None)
    t.eq("by id", await t.do(t.Sandbox.update_network(box.sandbox_id, {"allow_out": []})), None)
    await t.do(box.kill())
    await t.raises("missing", "NotFoundException", lambda: box.update_network({}))


if __name__ == "__main__":
    main()
