"""templates.py - what the Python SDK does with templates: built on the host, unchanged.
Imported by methods.py; the rules are those of check.py."""
import os
import shutil
import ssl
import tempfile
import uuid

import httpx
from check import scenario


def ssl_context(t):
    return ssl.create_default_context(cafile=t.ca) if t.ca else True


def fresh(t):
    return f"sdk-{'a' if t.is_async else 's'}-{uuid.uuid4().hex[:10]}"


def template_of(t):
    return t.sdk.AsyncTemplate if t.is_async else t.sdk.Template


def context():
    where = tempfile.mkdtemp(prefix="sbx-sdk-context.")
    os.makedirs(where + "/app/sub/empty")
    for name, text in (("app/main.sh", "echo main\n"), ("app/sub/data.txt", "data é\n"),
                       ("app/skip.log", "no\n"), ("one.txt", "one\n"), ("two.txt", "two\n"),
                       (".dockerignore", "*.log\n**/*.log\n")):
        with open(f"{where}/{name}", "w") as f:
            f.write(text)
    os.chmod(where + "/app/main.sh", 0o755)
    os.symlink("sub/data.txt", where + "/app/link")
    return where


async def drop(t, template_id):
    """The SDK has no call for it."""
    r = httpx.delete(f"{t.url}/templates/{template_id}", verify=ssl_context(t),
                     headers={"X-API-Key": os.environ["E2B_API_KEY"]})
    t.eq("deleted", r.status_code, 204)


@scenario("Template.build", new=True)
async def template_build(t):
    Template, name, where, logs = template_of(t), fresh(t), context(), []
    template = (
        Template(file_context_path=where)
        .from_base_image()
        .run_cmd("mkdir -p /opt/x && chmod 777 /opt/x", user="root")
        .set_workdir("/opt/x")
        .set_envs({"GREETING": "hello", "WHOLE": "$GREETING world"})
        .copy("app", "app")
        .copy(["one.txt", "two.txt"], "texts/", mode=0o640)
        .copy("*.txt", "all", user="root")
        .make_dir("made", mode=0o700)
        .make_symlink("made", "to-made")
        .rename("texts/two.txt", "texts/zwei.txt")
        .run_cmd(["echo $WHOLE > greeting", "echo to-stderr >&2"])
        .remove("all/two.txt", force=True, user="root")
        .set_start_cmd("echo started > /tmp/started; exec sleep 1000",
                       t.sdk.wait_for_file("/tmp/started"))
    )
    try:
        info = await t.do(Template.build(template, name, tags=["v1", "default"], cpu_count=1,
                                         memory_mb=512, on_build_logs=logs.append))
        t.eq("its name", info.name, name)
        t.eq("its tags", info.tags, ["v1", "default"])
        said = [e.message for e in logs]
        for part in ("Template created with ID: " + info.template_id, "Uploaded 'app'",
                     "[builder 1/", "[stderr]: to-stderr", "Template is ready"):
            t.ok(f"the log says {part[:24]}", any(part in m for m in said), said)
        box = await t.create(template=name)
        r = await t.do(box.commands.run(
            "pwd; sh app/main.sh; cat app/link greeting texts/zwei.txt; ls app all; ls app/sub; "
            "readlink to-made; stat -c '%a %U' texts/one.txt app/main.sh all/one.txt; nproc"))
        t.eq("what it made", r.stdout.split("\n"), [
            "/opt/x", "main", "data é", "hello world", "two", "all:", "one.txt", "", "app:", "link",
            "main.sh", "sub", "data.txt", "empty", "made", "640 user", "755 user", "644 root", "1",
            ""])
        t.eq("env", (await t.do(box.commands.run("echo $GREETING"))).stdout, "hello\n")

        async def started():
            return await t.do(box.files.exists("/tmp/started"))

        t.ok("the start command runs", await t.until(started))
        t.eq("a relative path", await t.do(box.files.read("greeting")), "hello world\n")
        got = await t.do(box.get_info())
        t.eq("its size", (got.cpu_count, got.memory_mb), (1, 512))
        t.eq("its id", got.template_id, info.template_id)
        await t.do(box.kill())
        again = []
        await t.do(Template.build(template, name, on_build_logs=again.append))
        t.ok("nothing is uploaded again",
             any("Skipping upload of 'app', already cached" in e.message for e in again))
        t.ok("and the cache is used", sum("CACHED" in e.message for e in again) >= 8)
        forced = []
        await t.do(Template.build(template, name, skip_cache=True, on_build_logs=forced.append))
        t.ok("skip_cache runs all", not any("CACHED" in e.message for e in forced))
        await drop(t, info.template_id)
    finally:
        shutil.rmtree(where)


@scenario("Template.build that fails", new=True)
async def template_fails(t):
    Template, name = template_of(t), fresh(t)

    def build(template, **kw):
        return lambda: Template.build(template, name, **kw)

    e = await t.raises("a failing step", "BuildException", build(
        Template().from_base_image().run_cmd("true").run_cmd("echo why >&2; exit 3")))
    t.ok("says what", "failed to run command 'echo why >&2; exit 3': exit status 3" in str(e), e)
    e = await t.raises("an unknown image", "BuildException", build(
        Template().from_image("python:3.12", username="me", password="no-secret")))
    t.ok("names the known ones", "e2bdev/base" in str(e) and "no-secret" not in str(e), e)
    await t.raises("an unknown template", "BuildException", build(
        Template().from_template("no-such-template")))
    await t.raises("a start command that ends", "BuildException", build(
        Template().from_base_image().set_start_cmd("exit 4", "false")))
    e = await t.raises("a bad name", "BuildException", lambda: Template.build(
        Template().from_base_image(), "no such name"))
    t.ok("with its reason", "400" in str(e), e)
    await t.raises("no sandbox of it", "NotFoundException|SandboxException",
                   lambda: t.Sandbox.create(name))
    info = await t.do(Template.build_in_background(Template().from_base_image(), name))
    await drop(t, info.template_id)


@scenario("Template.build_in_background, get_build_status", new=True)
async def template_background(t):
    Template, name = template_of(t), fresh(t)
    template = Template().from_base_image().run_cmd("for i in 1 2 3; do echo l$i; sleep .2; done")
    info = await t.do(Template.build_in_background(template, name))
    seen, statuses, reason = [], [], None

    async def done():
        s = await t.do(Template.get_build_status(info, logs_offset=len(seen)))
        seen.extend(e.message for e in s.log_entries)
        statuses.append(s.status.value)
        return s.status.value in ("ready", "error")

    t.ok("it ends", await t.until(done, 25, 0.1))
    t.eq("ready", statuses[-1], "ready")
    t.ok("it was building", "building" in statuses, statuses)
    await done()
    t.eq("each line once", [m[-2:] for m in seen if "[stdout]" in m], ["l1", "l2", "l3"])
    bad = await t.do(Template.build_in_background(
        Template().from_base_image().run_cmd("echo a; exit 5"), name))

    async def failed():
        nonlocal reason
        s = await t.do(Template.get_build_status(bad, logs_offset=0))
        reason = s.reason
        return s.status.value == "error"

    t.ok("it fails", await t.until(failed, 25, 0.1))
    t.eq("the step", reason.step, "1")
    t.ok("with its last lines", any("a" in e.message for e in reason.log_entries), reason)
    await drop(t, info.template_id)


@scenario("Template.exists, tags", new=True)
async def template_tags(t):
    Template, name = template_of(t), fresh(t)
    t.eq("not there", await t.do(Template.exists(name)), False)
    one = await t.do(Template.build(
        Template().from_base_image().run_cmd("echo 1 > ~/v"), name + ":v1"))
    t.eq("exists", await t.do(Template.exists(name)), True)
    t.eq("alias_exists", await t.do(Template.alias_exists(name)), True)
    two = await t.do(Template.build(
        Template().from_template(name + ":v1").run_cmd("echo 2 >> ~/v"), name + ":v2"))
    t.eq("the same template", two.template_id, one.template_id)
    got = await t.do(Template.assign_tags(name + ":v1", ["stable", "default"]))
    t.eq("assigned", (got.build_id, got.tags), (one.build_id, ["stable", "default"]))
    tags = {g.tag: g.build_id for g in await t.do(Template.get_tags(name))}
    t.eq("listed", tags, {"v1": one.build_id, "stable": one.build_id, "default": one.build_id,
                          "v2": two.build_id})
    for tag, want in (("", "1\n"), (":v2", "1\n2\n"), (":stable", "1\n")):
        box = await t.create(template=name + tag)
        t.eq(f"a sandbox of '{tag}'", await t.do(box.files.read("v")), want)
        await t.do(box.kill())
    await t.do(Template.remove_tags(name, "stable"))
    t.ok("removed", "stable" not in [g.tag for g in await t.do(Template.get_tags(name))])
    await t.raises("no such template", "TemplateException",
                   lambda: Template.assign_tags("no-such-" + name, "x"))
    await t.raises("default stays", "TemplateException",
                   lambda: Template.remove_tags(name, "default"))
    await drop(t, one.template_id)


@scenario("Template.from_dockerfile", new=True)
async def template_dockerfile(t):
    Template, name, where = template_of(t), fresh(t), context()
    try:
        info = await t.do(Template.build(Template(file_context_path=where).from_dockerfile(
            "FROM e2bdev/base\nARG V=7\nENV A=\"x y\" B=$V\nWORKDIR /srv/app\n"
            "COPY --chmod=0755 app /srv/app/\nRUN echo \"$A $B\" > got \\\n  && id -un >> got\n"
            "USER user\nRUN <<EOF\nid -un > /tmp/me\nEOF\n"), name))
        box = await t.create(template=name)
        r = await t.do(box.commands.run("pwd; cat got /tmp/me; sh main.sh; stat -c %a link sub"))
        t.eq("what it made", r.stdout, "/srv/app\nx y 7\nroot\nuser\nmain\n777\n755\n")
        await t.do(box.kill())
        await drop(t, info.template_id)
    finally:
        shutil.rmtree(where)


@scenario("Template.build of 2.6", old=True)
async def template_build_old(t):
    Template, name, where, logs = template_of(t), fresh(t), context(), []
    template = (
        Template(file_context_path=where)
        .from_base_image()
        .set_envs({"A": "1"})
        .copy("app", "app")
        .run_cmd("sh app/main.sh > said; echo $A >> said")
        .set_start_cmd("echo started > /tmp/started; exec sleep 1000",
                       t.sdk.wait_for_file("/tmp/started"))
    )
    try:
        await t.do(Template.build(template, alias=name, on_build_logs=logs.append))
        t.ok("its log", any("[builder 1/" in e.message for e in logs), logs)
        box = await t.create(template=name)
        t.eq("what it made", await t.do(box.files.read("said")), "main\n1\n")
        t.eq("its size", (await t.do(box.get_info())).memory_mb, 1024)
        await t.do(box.kill())
        await t.raises("a failing step", "BuildException", lambda: Template.build(
            Template().from_base_image().run_cmd("exit 3"), alias=name))
        await drop(t, name)
    finally:
        shutil.rmtree(where)
