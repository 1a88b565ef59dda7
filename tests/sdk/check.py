"""check.py - what the scenarios of the Python SDKs are written with.

A scenario is a coroutine about one method of the SDK, the same for the sync and the
async classes and for every version: t.do(x) awaits what can be awaited. Its checks
name the method. One that raises counts as one failed check; one that hangs ends the
program, and its closing line says so. Shows failures, with SDK_VERBOSE=1 all checks.
"""
import asyncio
import inspect
import logging
import os
import sys
import threading
import time
import traceback

SCENARIOS = []
LIMIT = float(os.environ.get("SDK_LIMIT", "30"))  # seconds of one scenario


def scenario(method, new=False, old=False, sync=True):
    """new: not in 2.6.0; old: only there; sync=False: the async classes only."""

    def add(f):
        SCENARIOS.append((method, f, new, old, sync))
        return f

    return add


class Test:
    def __init__(self, sdk, is_async, is_old, title):
        self.sdk, self.is_async, self.old, self.title = sdk, is_async, is_old, title
        self.Sandbox = sdk.AsyncSandbox if is_async else sdk.Sandbox
        self.url = os.environ["SDK_HOST_URL"]
        self.domain = os.environ.get("E2B_DOMAIN", "example.test")
        self.ca = os.environ.get("SSL_CERT_FILE")
        self.passed, self.failures, self.method = 0, [], ""
        self.boxes, self.box = [], None

    # ---- checks ----
    def ok(self, what, good, got=None):
        line = f"{self.title} {self.method}: {what}"
        if good:
            self.passed += 1
            if os.environ.get("SDK_VERBOSE"):
                print("ok    ", line, flush=True)
        else:
            self.failures.append(line)
            print("FAILED", line, "" if got is None else f"(got {got!r})"[:600], flush=True)
        return good

    def eq(self, what, got, want):
        return self.ok(what, got == want, (got, "wanted", want))

    def differs(self, why):
        """What this host means to do otherwise: shown, neither passed nor failed."""
        print("differs", f"{self.title} {self.method}: {why}", flush=True)

    async def raises(self, what, names, f):
        """f() fails with a class of one of these names, or below it; returns it."""
        try:
            got = await self.do(f())
        except Exception as e:  # noqa: BLE001 - which one is what is checked
            classes = [c.__name__ for c in type(e).__mro__]
            self.ok(what, any(n in classes for n in names.split("|")), e)
            return e
        self.ok(what, False, got)
        return None

    # ---- sync and async alike ----
    async def do(self, x):
        return await x if inspect.isawaitable(x) else x

    async def sleep(self, seconds):
        if self.is_async:
            await asyncio.sleep(seconds)
        else:
            time.sleep(seconds)

    async def until(self, f, seconds=10.0, step=0.05):
        """Asks f() again and again until it is true; gives what it said last."""
        end = time.monotonic() + seconds
        while True:
            got = await self.do(f())
            if got or time.monotonic() > end:
                return got
            await self.sleep(step)

    async def create(self, **kw):
        kw.setdefault("timeout", 120)
        box = await self.do(self.Sandbox.create(**kw))
        self.boxes.append(box)
        return box

    async def start(self, box, cmd, on_stdout=None, on_stderr=None, **kw):
        """A command in the background; finish(handle) is its end, with the callbacks."""
        if self.is_async:
            if on_stdout:
                kw["on_stdout"] = on_stdout
            if on_stderr:
                kw["on_stderr"] = on_stderr
            return await box.commands.run(cmd, background=True, **kw)
        handle = box.commands.run(cmd, background=True, **kw)
        handle.callbacks_ = {k: v for k, v in
                             (("on_stdout", on_stdout), ("on_stderr", on_stderr)) if v}
        return handle

    async def finish(self, handle):
        if self.is_async:
            return await handle.wait()
        return handle.wait(**getattr(handle, "callbacks_", {}))

    # ---- the loop ----
    def report(self):
        print(f"checks {self.title}: {self.passed} passed, {len(self.failures)} failed",
              flush=True)

    def watch(self):
        def dog():
            while True:
                time.sleep(0.5)
                if self.began and time.monotonic() - self.began > LIMIT:
                    self.ok(f"no end within {LIMIT:.0f} s: the rest was not run", False)
                    self.report()
                    os._exit(1)

        self.began = 0
        threading.Thread(target=dog, daemon=True).start()

    async def run(self, only):
        self.watch()
        for method, f, new, old, sync in SCENARIOS:
            if (new and self.old) or (old and not self.old) or (not sync and not self.is_async):
                continue
            if only and not any(o in method for o in only):
                continue
            self.method, self.began = method, time.monotonic()
            try:
                if self.box is None:
                    self.box = await self.create(timeout=600)
                await f(self)
            except Exception as e:  # noqa: BLE001
                where = traceback.extract_tb(e.__traceback__)
                line = next((s.lineno for s in where if
                             s.filename.endswith(("methods.py", "templates.py"))), 0)
                self.ok(f"goes through (line {line})", False, e)
            took = time.monotonic() - self.began
            if os.environ.get("SDK_VERBOSE") and took > 2:
                print(f"       {method} took {took:.1f} s", flush=True)
        self.method, self.began = "end", time.monotonic()
        for box in self.boxes:
            try:
                await self.do(box.kill())
            except Exception:  # noqa: BLE001 - many are gone already
                pass
        self.report()


def main():
    import e2b
    from importlib.metadata import version

    kind, *only = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    if os.environ.get("SDK_RESOLVE"):
        resolve_here(os.environ["SDK_RESOLVE"])
    number = version("e2b")
    t = Test(e2b, kind == "async", number.startswith("2.6."), f"e2b-py-{kind} {number}")
    asyncio.run(t.run(only))
    sys.stdout.flush()
    os._exit(1 if t.failures else 0)  # without waiting for threads of an SDK


def resolve_here(domain):
    """Every name below domain is this machine: what DNS does for a real service."""
    import socket

    real = socket.getaddrinfo

    def getaddrinfo(host, *args, **kw):
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name and name.endswith("." + domain) else host, *args, **kw)

    socket.getaddrinfo = getaddrinfo
