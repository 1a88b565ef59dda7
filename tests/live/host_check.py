#!/usr/bin/env python3
"""Checks sandboxd from outside, with plain sockets: no package is needed.

usage: host_check.py [--sandboxd PATH] [--isolation 1|2|3] [--quick] [FILTER]

Starts its own hosts on free ports, as the user who runs it. The last line is
`N passed, N failed, N skipped`; the exit status is 1 if anything failed.
"""
import base64, gzip, hashlib, http.client, json, os, re, shutil, signal, socket, ssl, struct
import subprocess, sys, tempfile, threading, time, urllib.parse

ARGS = sys.argv[1:]


def option(name, default=None):
    if name in ARGS:
        at = ARGS.index(name)
        value = ARGS[at + 1]
        del ARGS[at:at + 2]
        return value
    return default


SANDBOXD = option("--sandboxd", "build/sandboxd")
ISOLATION = option("--isolation", "auto")
QUICK = "--quick" in ARGS and not ARGS.remove("--quick")
FILTER = ARGS[0] if ARGS else ""
KEY = "e2b_" + "0" * 40
SANITIZED = any(s in open(SANDBOXD, "rb").read() for s in (b"__asan_init", b"__tsan_init"))
TESTS = []
passed = failed = skipped = 0


class Skip(Exception):
    pass


def test(fn):
    TESTS.append(fn)
    return fn


def check(ok, what=""):
    if not ok:
        raise AssertionError(what)


def same(a, b, what=""):
    if a != b:
        raise AssertionError(f"{what}: {str(a)[:300]!r} is not {str(b)[:300]!r}")


class Host:
    def __init__(self, *options, user_key=KEY, env=None, isolation=ISOLATION, tls=None):
        self.key, self.tls = user_key, tls
        self.log = tempfile.TemporaryFile()
        self.tmp = tempfile.mkdtemp(prefix="hostcheck-")
        os.chmod(self.tmp, 0o711)
        e = dict(os.environ, TMPDIR=self.tmp, **(env or {}))
        self.p = subprocess.Popen([SANDBOXD, "--port", "0", "--isolation", isolation, *options],
                                  stdout=subprocess.PIPE, stderr=self.log, env=e)
        line = self.p.stdout.readline().decode()
        m = re.match(r"sandboxd: listening on https?://(.*):(\d+)$", line.strip())
        if not m:
            self.p.wait()
            raise RuntimeError("sandboxd did not start: " + line + self.log_text())
        self.port = int(m.group(2))
        self.rung = self.json("GET", "/status")[1]["isolation"]["rung"]

    def log_text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self, sig=signal.SIGTERM):
        if self.p.poll() is None:
            self.p.send_signal(sig)
        self.p.wait(60)
        self.p.stdout.close()
        for _ in range(100):  # the helper of a killed host cleans up on its own
            left = os.listdir(self.tmp)
            if not left:
                break
            time.sleep(0.1)
        shutil.rmtree(self.tmp, ignore_errors=True)
        log = self.log_text()
        if "Sanitizer" in log or "runtime error" in log:
            left.append("sanitizer report:\n" + log[log.find("Sanitizer") - 50:][:6000])
        return left

    def connection(self, timeout=30):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, path, body=None, headers=None, key=True, timeout=60):
        c = self.connection(timeout)
        h = dict(headers or {})
        if key and "E2b-Sandbox-Id" not in h:
            h["X-API-Key"] = self.key
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            h.setdefault("Content-Type", "application/json")
        try:
            c.request(method, path, body, h)
            r = c.getresponse()
            return r.status, r.read(), r.headers
        finally:
            c.close()

    def json(self, *a, **k):
        status, body, headers = self.call(*a, **k)
        return status, json.loads(body) if body else None, headers

    def create(self, **body):
        status, b, _ = self.json("POST", "/v2/sandboxes", {"templateID": "base", **body})
        same(status, 201, b)
        return Box(self, b["sandboxID"], b.get("envdAccessToken"))

    def fds(self):
        return len(os.listdir(f"/proc/{self.p.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.p.pid}/task"))

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.p.pid}/status").read()).group(1))

    def state(self):
        return os.path.join(self.tmp, os.listdir(self.tmp)[0])


class Stream:
    """A Connect stream, read envelope by envelope."""

    def __init__(self, box, method, message, headers=None, raw=None, timeout=60, service="process.Process"):
        payload = json.dumps(message).encode()
        body = raw if raw is not None else b"\0" + struct.pack(">I", len(payload)) + payload
        self.c = box.host.connection(timeout)
        h = dict(box.headers, **{"Content-Type": "application/connect+json", **(headers or {})})
        self.c.request("POST", f"/{service}/{method}", body, h, encode_chunked=not isinstance(body, bytes))
        self.r = self.c.getresponse()
        self.ended = None

    def next(self):
        head = self.r.read(5)
        if len(head) < 5:
            return None
        flag, n = head[0], struct.unpack(">I", head[1:])[0]
        m = json.loads(self.r.read(n))
        if flag & 2:
            self.ended = m
            return None
        return m.get("event", m)

    def all(self):
        out, err, end, events = b"", b"", None, []
        try:
            while (e := self.next()) is not None:
                events.append(e)
                out += base64.b64decode(e.get("data", {}).get("stdout", ""))
                err += base64.b64decode(e.get("data", {}).get("stderr", ""))
                out += base64.b64decode(e.get("data", {}).get("pty", ""))
                end = e.get("end", end)
        except http.client.IncompleteRead:
            pass
        self.close()
        return out, err, end, events

    def close(self):
        self.r.close()
        self.c.close()


class Box:
    def __init__(self, host, id, token):
        self.host, self.id, self.token = host, id, token
        self.headers = {"E2b-Sandbox-Id": id, "E2b-Sandbox-Port": "49983"}
        if token:
            self.headers["X-Access-Token"] = token

    def kill(self):
        return self.host.call("DELETE", "/sandboxes/" + self.id)[0]

    def call(self, method, path, body=None, headers=None, **k):
        return self.host.call(method, path, body, dict(self.headers, **(headers or {})), **k)

    def rpc(self, method, message, user=None, service="filesystem.Filesystem"):
        h = {"Content-Type": "application/json"}
        if user:
            h["Authorization"] = "Basic " + base64.b64encode((user + ":").encode()).decode()
        body = message if isinstance(message, (bytes, str)) else json.dumps(message)
        status, b, _ = self.call("POST", f"/{service}/{method}", body, h)
        return status, json.loads(b)

    def proc(self, method, message):
        return self.rpc(method, message, service="process.Process")

    def start(self, cmd, user=None, headers=None, stdin=False, args=None, **config):
        h = dict(headers or {})
        if user:
            h["Authorization"] = "Basic " + base64.b64encode((user + ":").encode()).decode()
        process = {"cmd": "/bin/bash", "args": ["-l", "-c", cmd], **config}
        if args is not None:
            process = {"cmd": cmd, "args": args, **config}
        return Stream(self, "Start", {"process": process, "stdin": stdin}, h)

    def run(self, cmd, **k):
        out, err, end, _ = self.start(cmd, **k).all()
        return out.decode(errors="replace"), err.decode(errors="replace"), end

    def out(self, cmd, **k):
        out, err, end = self.run(cmd, **k)
        check(end and not end.get("exitCode"), (cmd, out, err, end))
        return out

    def put(self, path, data, **query):
        q = urllib.parse.urlencode({"path": path, **query})
        return self.call("POST", "/files?" + q, data, {"Content-Type": "application/octet-stream"})

    def get(self, path, headers=None, **query):
        q = urllib.parse.urlencode({"path": path, **query})
        return self.call("GET", "/files?" + q, None, headers)

    def leftovers(self, where="/home/user"):
        s, b = self.rpc("ListDir", {"path": where})
        return [e["name"] for e in b.get("entries", []) if e["name"].startswith(".sbx-")]


def multipart(parts, boundary="xxBOUNDxx", end=True):
    out = b""
    for name, filename, data in parts:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if filename is not None:
            out += b'; filename="' + filename.encode() + b'"'
        out += b"\r\nContent-Type: application/octet-stream\r\n\r\n" + data + b"\r\n"
    return out + (f"--{boundary}--\r\n".encode() if end else b"")


MULTI = {"Content-Type": "multipart/form-data; boundary=xxBOUNDxx"}
host = box = None


def message(reply):
    return reply[1].get("message", "")


# ---- control plane ----
@test
def status_and_health():
    same(host.call("GET", "/health", key=False)[:2], (200, b"Health check successful"))
    s, b, _ = host.json("GET", "/status", key=False)
    check(s == 200 and b["isolation"]["rung"] in (1, 2, 3) and b["templates"] == ["base"], b)


@test
def keys():
    for headers, text in (({}, "missing"), ({"X-API-Key": "nope"}, "Invalid API key format"),
                          ({"X-API-Key": "e2b_" + "1" * 40}, "Cannot get the team"),
                          ({"X-API-Key": KEY + "0"}, "Cannot get the team"),
                          ({"X-API-Key": ""}, "Invalid API key format")):
        s, b, h = host.json("POST", "/v2/sandboxes", {"templateID": "base"}, headers, key=False)
        check(s == 401 and b["code"] == 401 and text in b["message"], (s, b))
        check(h["Content-Type"].startswith("application/json"))


@test
def create_refusals():
    def refused(body, status, text):
        s, b, _ = host.json("POST", "/v2/sandboxes", body)
        check(s == status and b["code"] == status and text in b["message"], (body, s, b))
    refused({"templateID": "nope"}, 404, "template 'nope' not found")
    refused({"templateID": "nope"}, 404, "base")
    refused("this is text", 400, "not JSON")
    refused("", 400, "not JSON")
    refused("[1]", 400, "JSON object")
    refused({}, 400, "templateID")
    refused({"templateID": 5}, 400, "templateID")
    refused({"templateID": "base", "timeout": 0}, 400, "Timeout must be greater than 0")
    refused({"templateID": "base", "timeout": 90000}, 400, "Timeout cannot be greater than 24 hours")
    refused({"templateID": "base", "timeout": "5"}, 400, "timeout")
    refused({"templateID": "base", "timeout": 1.5}, 400, "timeout")
    refused({"templateID": "base", "envVars": {"A": 1}}, 400, "envVars")
    refused({"templateID": "base", "metadata": []}, 400, "metadata")
    refused({"templateID": "base", "allow_internet_access": "x"}, 400, "allow_internet_access")
    refused({"templateID": "base", "autoPause": 1}, 400, "autoPause")
    refused({"templateID": "base", "autoResume": {"enabled": "x"}}, 400, "enabled")
    refused({"templateID": "base", "autoResume": True}, 400, "autoResume")
    refused({"templateID": "base", "network": []}, 400, "network")
    refused({"templateID": "base", "network": {"allowPublicTraffic": 1}}, 400, "allowPublicTraffic")
    refused({"templateID": "base", "network": {"denyOut": ["1.2.3.4"]}}, 501, "0.0.0.0/0")
    refused({"templateID": "base", "network": {"dnsServers": ["1.1.1.1"]}}, 501, "dnsServers")
    refused('{"templateID":"base"' + " " * (17 << 20) + "}", 413, "larger than")
    refused('{"templateID":"base"', 400, "not JSON")


@test
def strict_requests():
    """What is no such request is refused by every endpoint, and changes nothing."""
    b = host.create(timeout=600)
    of = f"/sandboxes/{b.id}"
    typed = {("POST", "/v2/sandboxes"): ("templateID", "timeout", "autoPause", "metadata", "envVars", "network"),
             ("POST", "/sandboxes"): ("templateID", "timeout", "secure"), ("POST", f"/v2{of}/connect"): ("timeout", "memory"),
             ("POST", of + "/connect"): ("timeout", "memory"), ("POST", of + "/resume"): ("timeout", "autoPause", "memory"),
             ("POST", of + "/pause"): ("memory", "requireHealthyGuest"), ("POST", of + "/timeout"): ("timeout",),
             ("POST", of + "/refreshes"): ("duration",), ("POST", of + "/fork"): ("timeout", "count"),
             ("POST", of + "/snapshots"): ("name", "memory"),
             ("PUT", of + "/network"): ("allow_internet_access", "allowOut", "denyOut")}
    ended, sandboxes = host.json("GET", of)[1]["endAt"], len(host.json("GET", "/v2/sandboxes")[1])
    def refused(method, path, body, headers={}):
        s, m, h = host.json(method, path, body, headers)
        check(s == 400 and m["code"] == 400 and m["message"] and h["Content-Type"].startswith("application/json"),
              (method, path, body[:60], headers, s, m))
    for (method, path), fields in typed.items():
        for body in ("text", "[]", "null", '"s"', "7", '{"timeout":5} x', '{"timeout":5,}', "{'timeout':5}", '{"timeout":05}',
                     '{"timeout":5', b'{"a":"\xff"}', '{"a":"\n"}', "[" * 5000, '{"a":' * 5000 + "1" + "}" * 5000, "\0"):
            refused(method, path, body)
        for field in fields:
            whole = {"templateID": "base", "timeout": 5, field: 1.5}
            refused(method, path, json.dumps(whole))
            refused(method, path, json.dumps({**whole, field: [[]]} if field not in ("allowOut", "denyOut") else {**whole, field: {}}))
        for type_ in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "json"):
            refused(method, path, '{"templateID":"base","timeout":5}', {"Content-Type": type_})
        s, m, _ = host.json(method, path, '{"templateID":"base","timeout":5' + " " * (17 << 20) + "}")
        check(s == 413 and m["code"] == 413, (path, s, m))
    same((host.json("GET", of)[1]["endAt"], state_of(b), len(host.json("GET", "/v2/sandboxes")[1])), (ended, "running", sandboxes))
    # what is not known is let pass: newer clients send it
    for type_ in ("application/json", "Application/JSON; charset=utf-8", "application/json;charset=UTF-8"):
        same(host.call("POST", of + "/timeout", '{"timeout":300,"newer":{"a":[1]}}', {"Content-Type": type_})[0], 204, type_)
    for query in ("limit=-1", "limit=1.5", "limit=+1", "limit=99999999999999999999", "state=", "template=base%00", "state=running%00", "order=asc%00"):
        same(host.call("GET", "/v2/sandboxes?" + query)[0], 200 if query == "state=" else 400, query)
    b.kill()


@test
def rate_limits():
    h = Host("--rate", "2")
    try:
        t, got = time.time(), []
        for _ in range(60):
            got.append(h.json("GET", "/v2/sandboxes"))
            same(h.call("GET", "/v2/sandboxes", headers={"X-API-Key": "e2b_"}, key=False)[0], 401)  # not counted
            if time.time() - t > 2 and {g[0] for g in got} == {200, 429}:
                break
        fine = [g for g in got if g[0] == 200]
        check(2 <= len(fine) <= 2 + 2 * (time.time() - t) + 1, (len(fine), len(got), time.time() - t))
        for s, m, head in got:
            check(s == 200 or s == 429 and m["code"] == 429 and "Rate limit exceeded" in m["message"] and head["Retry-After"] == "1", (s, m))
        check(len(fine) < len(got), "none was refused")
        same(h.call("GET", "/health", key=False)[0], 200)
        time.sleep(1.1)  # as it was told
        b = h.create()
        same([b.call("GET", "/envs")[0] for _ in range(20)], [200] * 20)  # the sandbox is no API
    finally:
        same(h.stop(), [])


@test
def other_endpoints():
    for method, path, status in (("POST", "/templates", 501), ("GET", "/volumes", 501),
                                 ("POST", "/sandboxes/x/pause", 404), ("GET", "/nope", 404),
                                 ("PUT", "/v2/sandboxes", 405), ("GET", "/sandboxes/inone", 404),
                                 ("DELETE", "/sandboxes/inone", 404),
                                 ("GET", "/sandboxes/a%2Fb", 404), ("GET", "/sandboxes/%zz", 400)):
        s, b, _ = host.json(method, path, {} if method in ("POST", "PUT") else None)
        check(s == status and b["code"] == status and b["message"], (method, path, s, b))
    s, b, _ = host.json("GET", "/sandboxes/inone")
    same(b["message"], 'Sandbox "inone" doesn\'t exist or you don\'t have access to it')


@test
def info_and_kill():
    b = host.create(timeout=77, metadata={"k": "v é"}, envVars={"A": "1"})
    check(re.fullmatch("i[a-z0-9]{20}", b.id) and re.fullmatch("[0-9a-f]{64}", b.token))
    s, i, _ = host.json("GET", "/sandboxes/" + b.id)
    same(s, 200)
    check(i["state"] == "running" and i["metadata"] == {"k": "v é"} and i["envdVersion"] == "0.6.4"
          and i["domain"] is None and i["cpuCount"] > 0 and i["memoryMB"] > 0 and i["diskSizeMB"] > 0
          and i["envdAccessToken"] == b.token, i)
    same(b.kill(), 204)
    same(b.kill(), 404)
    same(host.call("GET", "/sandboxes/" + b.id)[0], 404)
    s, body, h = b.call("GET", "/health")
    check(s == 502 and json.loads(body) == {"sandboxId": b.id, "message": "The sandbox was not found",
                                            "code": 502}, body)


@test
def older_dialect():
    s, b, _ = host.json("POST", "/sandboxes", {"templateID": "base", "secure": False})
    check(s == 201 and "envdAccessToken" not in b, b)
    x = Box(host, b["sandboxID"], None)
    same(x.out("echo open"), "open\n")
    check(any(e["sandboxID"] == x.id for e in host.json("GET", "/sandboxes")[1]))
    s, b, _ = host.json("POST", f"/sandboxes/{x.id}/connect", {})
    same(s, 400)
    s, b, _ = host.json("POST", f"/sandboxes/{x.id}/connect", {"timeout": 50})
    same((s, b["sandboxID"]), (200, x.id))
    same(x.kill(), 204)
    s, b, _ = host.json("POST", "/sandboxes", {"templateID": "base", "secure": True})
    check(b.get("envdAccessToken"))
    Box(host, b["sandboxID"], None).kill()


@test
def listing():
    tag = os.urandom(4).hex()
    boxes = [host.create(metadata={"run " + tag: "a&b=c", "n": str(i)}) for i in range(5)]
    q = urllib.parse.quote
    twice = lambda k, v: urllib.parse.quote_plus(q(k, safe="")) + "=" + urllib.parse.quote_plus(q(v, safe=""))
    meta = q(twice("run " + tag, "a&b=c"), safe="")
    s, all_, h = host.json("GET", "/v2/sandboxes?metadata=" + meta)
    same((s, [e["sandboxID"] for e in all_]), (200, [b.id for b in reversed(boxes)]))
    same(h["X-Total-Running"], "5")
    check("X-Next-Token" not in h)
    for order in ("asc", "desc"):
        got, token = [], ""
        for _ in range(5):
            s, page, h = host.json("GET", f"/v2/sandboxes?metadata={meta}&order={order}&limit=2"
                                   + ("&nextToken=" + token if token else ""))
            same(s, 200, page)
            got += [e["sandboxID"] for e in page]
            token = h.get("X-Next-Token")
            if not token:
                break
        ids = [b.id for b in boxes]
        same(got, ids if order == "asc" else ids[::-1])
    token = host.json("GET", f"/v2/sandboxes?metadata={meta}&limit=1&order=asc")[2]["X-Next-Token"]
    for bad in ("nonsense", token):  # a token of the other order is refused too
        s, b, _ = host.json("GET", f"/v2/sandboxes?nextToken={bad}")
        check(s == 400 and b["message"] == "Invalid next token", (bad, s, b))
    one = q(twice("n", "3"), safe="") + "%26" + meta
    same([e["sandboxID"] for e in host.json("GET", "/v2/sandboxes?metadata=" + one)[1]], [boxes[3].id])
    same(host.json("GET", "/v2/sandboxes?state=paused&metadata=" + meta)[1], [])
    same(len(host.json("GET", "/v2/sandboxes?state=running%2Cpaused&metadata=" + meta)[1]), 5)
    same(host.json("GET", "/v2/sandboxes?template=none&metadata=" + meta)[1], [])
    same(host.json("GET", "/v2/sandboxes?startedAfter=2100-01-01T00:00:00%2B02:00&metadata=" + meta)[1], [])
    same(len(host.json("GET", "/v2/sandboxes?startedAfter=2001-01-01T00:00:00Z&metadata=" + meta)[1]), 5)
    for bad in ("metadata=a", "state=odd", "limit=x", "limit=0", "order=up", "startedAfter=now"):
        same(host.call("GET", "/v2/sandboxes?" + bad)[0], 400, bad)
    # a page begins behind a place, also when what was there is gone
    s, page, h = host.json("GET", f"/v2/sandboxes?metadata={meta}&order=asc&limit=2")
    boxes[1].kill()
    s, page, h = host.json("GET", f"/v2/sandboxes?metadata={meta}&order=asc&limit=2&nextToken={h['X-Next-Token']}")
    same([e["sandboxID"] for e in page], [boxes[2].id, boxes[3].id])
    place = b"2026-01-01T00:00:00Z__"
    snap = b"%020d__" % 5
    for plain in (b"", b"__", b"x__y", place, place[:-2], place + b"i", place + b"i" * 300, place + b"i" * 21 + b"__up",
                  place + b"i" * 21 + b"__asc__asc", place + b"\0" * 21, b"2026-13-01T00:00:00Z__" + b"i" * 21, b"\xff" * 30,
                  snap, snap + b"i" * 19, b"x" * 20 + b"__" + b"i" * 20, snap + b"\xff" * 20):
        for path in ("/v2/sandboxes", "/snapshots"):
            token = base64.urlsafe_b64encode(plain).decode()
            for token in (token or "=", token + "!", "%00" + token):
                s, m, _ = host.json("GET", f"{path}?nextToken={token}")
                check(s == 400 and m["message"] in ("Invalid next token", "validation error: a NUL byte in the query"), (path, plain, token, s, m))
    for b in boxes:
        b.kill()


@test
def idempotency():
    body = {"templateID": "base", "metadata": {"x": os.urandom(4).hex()}}
    k = {"Idempotency-Key": "k-" + os.urandom(6).hex()}
    s, a, _ = host.json("POST", "/v2/sandboxes", body, k)
    same(s, 201)
    s, b, _ = host.json("POST", "/v2/sandboxes", body, k)
    same((s, b), (201, a))
    s, b, _ = host.json("POST", "/v2/sandboxes", {"templateID": "base"}, k)
    same((s, b["error_code"]), (422, "idempotency_request_mismatch"))
    Box(host, a["sandboxID"], None).kill()
    same(host.json("POST", "/v2/sandboxes", body, k)[:2], (201, a))  # the answer it had, not another sandbox
    for bad in ("BAD KEY", "", "a_b", "x" * 256):
        same(host.call("POST", "/v2/sandboxes", body, {"Idempotency-Key": bad})[0], 400, bad)
    # of a request that failed nothing is kept
    k = {"Idempotency-Key": os.urandom(100).hex() + "x" * 55}
    same(host.call("POST", "/v2/sandboxes", {"templateID": "none"}, k)[0], 404)
    same(host.call("POST", "/v2/sandboxes", {"templateID": "base", "timeout": -1}, k)[0], 400)
    s, c, _ = host.json("POST", "/v2/sandboxes", body, k)
    same((s, host.json("POST", "/v2/sandboxes", body, k)[1]), (201, c))
    h = Host("--max-sandboxes", "1")
    try:
        first = h.create()
        same(h.call("POST", "/v2/sandboxes", body, k)[0], 429)
        first.kill()
        same(h.call("POST", "/v2/sandboxes", body, k)[0], 201)
    finally:
        same(h.stop(), [])
    results = []
    k = {"Idempotency-Key": "p-" + os.urandom(6).hex()}
    ts = [threading.Thread(target=lambda: results.append(host.json("POST", "/v2/sandboxes", body, k)[:2]))
          for _ in range(6)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    made = {r[1]["sandboxID"] for r in results if r[0] == 201}
    check(len(made) == 1 and all(r[0] in (201, 409) for r in results), results)
    for id in made | {c["sandboxID"]}:
        same(Box(host, id, None).kill(), 204)


@test
def timeouts_end_sandboxes():
    t = time.time()
    b = host.create(timeout=1)
    wait_for(lambda: state_of(b) == 404)
    check(time.time() - t > 0.95, time.time() - t)
    b = host.create(timeout=100)
    b.start("sleep 1000 & sleep 1000").next()
    t = time.time()
    same(host.call("POST", f"/sandboxes/{b.id}/timeout", {"timeout": 1})[0], 204)
    wait_for(lambda: state_of(b) == 404)
    check(time.time() - t > 0.95, time.time() - t)
    b = host.create(timeout=100)
    end = lambda: host.json("GET", "/sandboxes/" + b.id)[1]["endAt"]
    was = end()
    same(host.call("POST", f"/v2/sandboxes/{b.id}/connect", {"timeout": 10})[0], 200)
    same(end(), was, "connect shortens")
    host.call("POST", f"/v2/sandboxes/{b.id}/connect", {"timeout": 500})
    check(end() > was)
    was = end()
    same(host.call("POST", f"/sandboxes/{b.id}/refreshes", {"duration": 5})[0], 204)
    same(end(), was)
    same(host.call("POST", f"/sandboxes/{b.id}/timeout", {"timeout": 20})[0], 204)
    check(end() < was)
    for bad in ({}, {"timeout": -1}, {"timeout": "x"}):
        same(host.call("POST", f"/sandboxes/{b.id}/timeout", bad)[0], 400, bad)
    same(host.call("POST", f"/sandboxes/{b.id}/timeout", {"timeout": 0})[0], 204)
    time.sleep(0.5)
    same(host.call("GET", "/sandboxes/" + b.id)[0], 404)
    same(host.call("POST", f"/sandboxes/{b.id}/timeout", {"timeout": 9})[0], 404)


# ---- pause, resume, copies ----
def counting(b, name="n"):
    """A process that counts in a file; a look at it."""
    b.start(f"while :; do n=$((n + 1)); echo $n > {name}.t; mv {name}.t {name}; sleep 0.02; done & exec sleep 1000").next()
    look = lambda: int(b.get(name)[1] or 0)
    wait_for(lambda: look() > 2)
    return look


def wait_for(fn, seconds=10):
    until = time.time() + seconds
    while time.time() < until:
        try:
            if fn():
                return
        except (ValueError, AssertionError):
            pass
        time.sleep(0.03)
    check(False, "it did not come to pass")


def state_of(b):
    s, i, _ = b.host.json("GET", "/sandboxes/" + b.id)
    return i["state"] if s == 200 else s


@test
def pause_freezes_and_resume_thaws():
    b = host.create(timeout=600, metadata={"m": "1"})
    look = counting(b)
    stream = b.start("for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done")
    stream.next()
    b.call("POST", "/files?path=kept", b"kept", {"Content-Type": "application/octet-stream"})
    same(host.call("POST", f"/sandboxes/{b.id}/pause")[:2], (204, b""))
    same(state_of(b), "paused")
    s, m, _ = host.json("POST", f"/sandboxes/{b.id}/pause", {})
    same((s, m["message"]), (409, f"Sandbox '{b.id}' cannot be paused while in 'paused' state"))
    s, m, _ = b.call("GET", "/health")
    same((s, json.loads(m)), (502, {"sandboxId": b.id, "message": "The sandbox was not found", "code": 502}))
    same(host.call("POST", f"/sandboxes/{b.id}/timeout", {"timeout": 5})[0], 404)
    same(host.call("POST", f"/sandboxes/{b.id}/refreshes", {"duration": 5})[0], 404)
    for path in ("fork", "snapshots"):
        same(host.call("POST", f"/sandboxes/{b.id}/{path}", {})[0], 409, path)
    same(host.call("PUT", f"/sandboxes/{b.id}/network", {})[0], 409)
    same([e["state"] for e in host.json("GET", "/v2/sandboxes?state=paused")[1] if e["sandboxID"] == b.id],
         ["paused"])
    same([e for e in host.json("GET", "/v2/sandboxes?state=running")[1] if e["sandboxID"] == b.id], [])
    same([e for e in host.json("GET", "/sandboxes")[1] if e["sandboxID"] == b.id], [])
    time.sleep(0.5)
    s, m, _ = host.json("POST", f"/v2/sandboxes/{b.id}/connect", {"timeout": 300})
    same((s, m["sandboxID"], m["envdAccessToken"]), (201, b.id, b.token))
    was = look()
    same(host.call("POST", f"/v2/sandboxes/{b.id}/connect", {})[0], 200)
    wait_for(lambda: look() > was + 2)
    out, _, end, _ = stream.all()
    check(out.split()[-1] == b"8" and end and not end.get("exitCode"), (out, end))
    same(b.get("kept")[1], b"kept")
    # what it counted while it was frozen: nothing
    same(host.call("POST", f"/sandboxes/{b.id}/pause", {"memory": True})[0], 204)
    same(host.call("POST", f"/sandboxes/{b.id}/connect", {"timeout": 300})[0], 201)
    was = look()
    host.call("POST", f"/sandboxes/{b.id}/pause", {})
    time.sleep(1)
    s, m, _ = host.json("POST", f"/sandboxes/{b.id}/resume", {"timeout": 100})
    same(s, 201)
    check(look() < was + 15, (was, look()))
    s, m, _ = host.json("POST", f"/sandboxes/{b.id}/resume", {"timeout": 100})
    same((s, m["message"]), (409, "Sandbox ID is already running"))
    # paused ones can be killed
    host.call("POST", f"/sandboxes/{b.id}/pause", {})
    same(b.kill(), 204)
    same(state_of(b), 404)
    for path in ("pause", "connect", "resume", "fork", "snapshots", "refreshes"):
        s, m, _ = host.json("POST", f"/sandboxes/{b.id}/{path}", {"timeout": 5})
        check(s == 404 and "doesn't exist" in m["message"], (path, s, m))


@test
def pause_of_files_only():
    b = host.create(timeout=600)
    b.start("sleep 1234.5 & exec sleep 1000").next()
    b.put("a/b", b"data")
    b.out("ln -s there link; mkfifo pipe; chmod 700 a; ln a/b hard")
    if host.rung < 3:
        b.out("rm -rf /var/log; mkdir /var/log; echo x > /etc/new; rm /etc/hostname; mv /srv /moved", user="root")
    look = "stat -c '%n %F %a %U %h' ~user/* /moved /etc/new; ls -a /var/log; ls /etc/hostname /srv"
    before = b.run(look, user="root")[0]
    same(host.call("POST", f"/sandboxes/{b.id}/pause", {"memory": False})[0], 204)
    check(not [c for c in all_command_lines() if "1234.5" in c], "a process goes on")
    same(state_of(b), "paused")
    s, m, _ = host.json("POST", f"/v2/sandboxes/{b.id}/connect", {"timeout": 500})
    same(s, 201, m)
    same(b.run(look, user="root")[0], before)
    same(b.get("a/b")[1], b"data")
    same(b.proc("List", {})[1].get("processes", []), [])
    # memory asked for no more: boots anew
    b.start("exec sleep 1000").next()
    host.call("POST", f"/sandboxes/{b.id}/pause")
    same(host.call("POST", f"/v2/sandboxes/{b.id}/connect", {"memory": False})[0], 201)
    same(b.proc("List", {})[1].get("processes", []), [])
    same(b.run(look, user="root")[0], before)
    same(b.kill(), 204)


@test
def time_that_pauses():
    soon = lambda: same(host.call("POST", f"/sandboxes/{b.id}/timeout", {"timeout": 1})[0], 204)
    b = host.create(timeout=600, autoPause=True)
    look = counting(b)
    i = host.json("GET", "/sandboxes/" + b.id)[1]
    same((i["lifecycle"], i["pauseMode"]), ({"autoResume": False, "onTimeout": "pause"}, "full"))
    soon()
    wait_for(lambda: state_of(b) == "paused")
    s, body, _ = b.call("GET", "/health")
    same(s, 502)
    same(host.call("POST", f"/v2/sandboxes/{b.id}/connect", {"timeout": 100})[0], 201)
    check(look() > 1)
    same(host.call("POST", f"/sandboxes/{b.id}/pause")[0], 204)
    same(host.call("POST", f"/v2/sandboxes/{b.id}/connect", {"timeout": 1})[0], 201)
    wait_for(lambda: state_of(b) == "paused")
    b.kill()
    b = host.create(timeout=600, autoPause=True, autoPauseMemory=False)
    b.put("f", b"1")
    b.start("sleep 1234.6").next()
    soon()
    wait_for(lambda: state_of(b) == "paused")
    same(host.json("GET", "/sandboxes/" + b.id)[1]["pauseMode"], "filesystem")
    check(not [c for c in all_command_lines() if "1234.6" in c], "a process goes on")
    host.call("POST", f"/v2/sandboxes/{b.id}/connect", {"timeout": 100})
    same(b.get("f")[1], b"1")
    b.kill()
    b = host.create(timeout=600, autoPause=True, autoResume={"enabled": True})
    look = counting(b)
    was = look()
    host.call("POST", f"/sandboxes/{b.id}/pause")
    check(look() >= was, "traffic did not wake it")
    same(state_of(b), "running")
    same(host.json("GET", "/sandboxes/" + b.id)[1]["lifecycle"], {"autoResume": True, "onTimeout": "pause"})
    soon()
    wait_for(lambda: state_of(b) == "paused")
    same(b.kill(), 204)


@test
def traffic_wakes_and_time_pauses_again():
    made = lambda t: host.create(timeout=t, autoPause=True, autoResume={"enabled": True})
    def left():
        end = host.json("GET", "/sandboxes/" + b.id)[1]["endAt"]
        return __import__("datetime").datetime.fromisoformat(end.replace("Z", "+00:00")).timestamp() - time.time()
    b = made(100)  # it has five minutes then
    same(host.call("POST", f"/sandboxes/{b.id}/pause")[0], 204)
    same(b.call("GET", "/health")[0], 204)
    check(200 < left() < 301, left())
    b.kill()
    b = made(600)
    call = serve(b)
    for wake in (lambda: call("GET", "/204")[0] == 204, lambda: call("GET", "/204", by_name=True)[0] == 204,
                 lambda: b.call("GET", "/health")[0] == 204, lambda: b.rpc("Stat", {"path": "/"})[0] == 200,
                 lambda: b.put("f", b"1")[0] == 200):
        same(host.call("POST", f"/sandboxes/{b.id}/timeout", {"timeout": 1})[0], 204)
        wait_for(lambda: state_of(b) == "paused")
        check(wake(), "not awake")
        same(state_of(b), "running")
        check(500 < left() < 601, left())  # the time it was made with, counted from now
    # many at once wake it once
    same(host.call("POST", f"/sandboxes/{b.id}/pause", {"memory": True})[0], 204)
    got = []
    ts = [threading.Thread(target=lambda: got.append(call("GET", "/204")[0])) for _ in range(8)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    same(got, [204] * 8)
    same(sum(e["message"] == "sandbox resumed" for e in host.json("GET", f"/v2/sandboxes/{b.id}/logs")[1]["logs"]), 6)
    same(b.kill(), 204)
    # without that wish neither wakes it
    b = host.create(timeout=600, autoPause=True)
    call = serve(b)
    same(host.call("POST", f"/sandboxes/{b.id}/pause")[0], 204)
    for s, m, _ in (call("GET", "/204"), call("GET", "/204", by_name=True), b.call("GET", "/health")):
        same((s, json.loads(m)["message"], state_of(b)), (502, "The sandbox was not found", "paused"))
    b.kill()


@test
def pauses_and_resumes_at_once():
    b = host.create(timeout=600)
    counting(b)
    got = []
    def one(i):
        for _ in range(5):
            got.append(host.call("POST", f"/sandboxes/{b.id}/pause")[0] if i % 2 else
                       host.call("POST", f"/v2/sandboxes/{b.id}/connect", {})[0])
    ts = [threading.Thread(target=one, args=(i,)) for i in range(6)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    check(set(got) <= {200, 201, 204, 409} and got.count(204) >= 1, got)
    check(abs(got.count(204) - got.count(201)) <= 1, got)
    host.call("POST", f"/v2/sandboxes/{b.id}/connect", {})
    same(b.out("echo well"), "well\n")
    ts = [threading.Thread(target=lambda: got.append(host.call("POST", f"/sandboxes/{b.id}/pause")[0])),
          threading.Thread(target=lambda: got.append(b.kill()))]
    [t.start() for t in ts]
    [t.join() for t in ts]
    same(state_of(b), 404)


@test
def snapshots_restore_the_tree():
    b = host.create(timeout=600, metadata={"who": "me"})
    b.put("data", os.urandom(300000))
    b.out("mkdir -p deep/er; echo 1 > deep/er/file; truncate -s 200M sparse")
    b.out("rm /etc/hostname", user="root") if host.rung < 3 else None
    look = counting(b)
    data = b.get("data")[1]
    s, one, _ = host.json("POST", f"/sandboxes/{b.id}/snapshots")
    same((s, one["names"]), (201, []))
    was = look()
    wait_for(lambda: look() > was)
    b.out("rm -rf deep; echo 2 > data")
    name = "snap-" + os.urandom(4).hex()
    s, two, _ = host.json("POST", f"/sandboxes/{b.id}/snapshots", {"name": name + ":v1"})
    same((s, two["names"]), (201, [name + ":v1"]))
    for bad in ("", ":x", "a b", "x:", "x" * 200):
        same(host.call("POST", f"/sandboxes/{b.id}/snapshots", {"name": bad})[0], 400, bad)
    q = lambda t: urllib.parse.quote(t, safe="")
    s, l, h = host.json("GET", f"/snapshots?sandboxID={b.id}")
    same(([e["snapshotID"] for e in l], h.get("X-Next-Token")), ([two["snapshotID"], one["snapshotID"]], None))
    s, l, h = host.json("GET", f"/snapshots?sandboxID={b.id}&limit=1")
    same([e["snapshotID"] for e in l], [two["snapshotID"]])
    s, l, h = host.json("GET", f"/snapshots?sandboxID={b.id}&limit=1&nextToken={q(h['X-Next-Token'])}")
    same(([e["snapshotID"] for e in l], h.get("X-Next-Token")), ([one["snapshotID"]], None))
    same(host.json("GET", "/snapshots?nextToken=nonsense")[1]["message"], "Invalid next token")
    same(host.call("GET", "/snapshots?limit=0")[0], 400)
    for want in (name, name + ":v1", "team/" + name):
        same([e["snapshotID"] for e in host.json("GET", "/snapshots?name=" + q(want))[1]], [two["snapshotID"]])
    same(host.json("GET", "/snapshots?name=none")[1], [])
    x = host.create(templateID=one["snapshotID"])
    same(x.get("data")[1], data)
    same(x.out("cat deep/er/file; stat -c %s sparse; ls /etc/hostname 2>/dev/null | wc -l"), "1\n209715200\n0\n"
         if host.rung < 3 else "1\n209715200\n1\n")
    same(x.proc("List", {})[1].get("processes", []), [])
    i = host.json("GET", "/sandboxes/" + x.id)[1]
    check(i["templateID"] + ":default" == one["snapshotID"] and i["metadata"] == {}, i)
    same([e["sandboxID"] for e in host.json("GET", "/v2/sandboxes?template=" + q(one["snapshotID"]))[1]], [x.id])
    y = host.create(templateID="team/" + name + ":v1")
    same(y.get("data")[1], b"2\n")
    y.kill()
    b.kill()
    x.put("data", b"own")
    same(host.call("DELETE", "/templates/" + q(one["snapshotID"]))[0], 204)
    same(host.call("DELETE", "/templates/" + q(one["snapshotID"]))[0], 404)
    same(x.get("data")[1], b"own")
    x.kill()
    same(host.call("DELETE", "/templates/" + q("team/" + name + ":v1"))[0], 204)
    s, m, _ = host.json("POST", "/v2/sandboxes", {"templateID": name + ":v1"})
    same(s, 404)


@test
def snapshots_stop_nobody():
    """Requests that come while the files are copied wait: none hears that the sandbox is gone."""
    b = host.create(timeout=600)
    call = serve(b)
    b.out("mkdir many; cd many; for i in $(seq 200); do echo $i > $i; done")
    wrong, counts, done = [], {}, threading.Event()

    def again(name, fn):
        while not done.is_set():
            try:
                got = fn()
            except Exception as e:
                got = repr(e)
            counts[name] = counts.get(name, 0) + 1
            if got is not True:
                wrong.append((name, got))

    def snapshot():
        s, m, _ = host.json("POST", f"/sandboxes/{b.id}/snapshots")
        if s == 503 and "could not be made" in m["message"]:
            return True  # a freeze that took 10 s: the others must not notice either
        return s == 201 and host.call("DELETE", "/templates/" + urllib.parse.quote(m["snapshotID"]))[0] == 204 or (s, m)

    def watched():
        w = Watch(b, "many", True)
        w.stop()
        return True

    work = {"snapshot": snapshot, "command": lambda: b.out("echo x") == "x\n", "put": lambda: b.put("f", b"1" * 100000)[0] == 200,
            "get": lambda: b.get("many/7")[1] == b"7\n", "server": lambda: call("GET", "/204")[0] == 204, "watch": watched,
            "clock": lambda: host.call("POST", f"/sandboxes/{b.id}/timeout", {"timeout": 600})[0] == 204,
            "refresh": lambda: host.call("POST", f"/sandboxes/{b.id}/refreshes", {"duration": 600})[0] == 204,
            "connect": lambda: host.call("POST", f"/v2/sandboxes/{b.id}/connect", {})[0] == 200,
            "list": lambda: b.proc("List", {})[0] == 200}
    ts = [threading.Thread(target=again, args=item) for item in [*work.items(), *[("snapshot", snapshot)] * 2]]
    [t.start() for t in ts]
    until = time.time() + 60
    while time.time() < until and not wrong and (len(counts) < len(work) or min(counts.values()) < 25):
        time.sleep(0.1)
    done.set()
    [t.join() for t in ts]
    same(wrong[:5], [])
    check(min(counts.values()) >= 25, counts)
    same(b.kill(), 204)


@test
def a_resume_that_fails_loses_nothing():
    if host.rung == 3:
        raise Skip("needs nothing that could be missing")
    h = Host()
    try:
        b = h.create(timeout=600)
        b.put("f", b"still here")
        same(h.call("POST", f"/sandboxes/{b.id}/pause", {"memory": False})[0], 204)
        image = h.state() + "/image0"
        os.rename(image, image + "-away")
        s, m, _ = h.json("POST", f"/v2/sandboxes/{b.id}/connect", {})
        check(s == 503 and "could not be resumed" in m["message"], (s, m))
        same(state_of(b), "paused")
        s, m, _ = h.json("POST", "/v2/sandboxes", {"templateID": "base"})
        same((s, m["error_code"]), (500, "sandbox_create_failed"))
        os.rename(image + "-away", image)
        for _ in range(3):
            same(h.call("POST", f"/v2/sandboxes/{b.id}/connect", {})[0], 201)
            same(b.get("f")[1], b"still here")
            same(h.call("POST", f"/sandboxes/{b.id}/pause", {"memory": False})[0], 204)
        fds = h.fds()
        os.rename(image, image + "-away")
        for _ in range(5):
            same(h.call("POST", f"/v2/sandboxes/{b.id}/connect", {})[0], 503)
        check(h.fds() <= fds + 2, (fds, h.fds()))
        same(b.kill(), 204)
        os.rename(image + "-away", image)
    finally:
        same(h.stop(), [])


@test
def memory_holds_the_files():
    """With a disk of its own, which is gone when its processes are."""
    d = tempfile.mkdtemp(prefix="hostcheck-state-")
    os.chmod(d, 0o755)
    h = Host("--state", d, "--disk-mib", "64")
    b = h.create(timeout=600)
    b.out("mkdir d; echo 1 > d/f; ln d/f hard")
    for memory in (True, False, True, False):
        same(h.call("POST", f"/sandboxes/{b.id}/pause", {"memory": memory})[0], 204)
        same(h.call("POST", f"/v2/sandboxes/{b.id}/connect", {})[0], 201)
        same(b.out("cat d/f; stat -c %h hard"), "1\n2\n")
    x = h.json("POST", f"/sandboxes/{b.id}/fork")[1][0]["sandbox"]
    same(Box(h, x["sandboxID"], x["envdAccessToken"]).get("d/f")[1], b"1\n")
    same(h.call("POST", f"/sandboxes/{b.id}/pause")[0], 204)
    h.stop()
    h = b.host = Host("--state", d, "--disk-mib", "64")
    same(h.call("POST", f"/v2/sandboxes/{b.id}/connect", {})[0], 201)
    same(b.out("cat d/f; stat -c %h hard"), "1\n2\n")
    same(h.call("POST", f"/sandboxes/{b.id}/pause")[0], 204)
    h.stop()
    h = b.host = Host("--state", d)  # on the disk from now on
    same(h.call("POST", f"/v2/sandboxes/{b.id}/connect", {})[0], 201)
    same(b.out("cat d/f; stat -c %h hard"), "1\n2\n")
    same(b.kill(), 204)
    h.stop()
    same(os.listdir(d), [])
    os.rmdir(d)


@test
def forks():
    b = host.create(timeout=600, metadata={"a": "b"}, envVars={"E": "f"})
    b.put("f", b"shared")
    s, l, _ = host.json("POST", f"/sandboxes/{b.id}/fork", {"count": 3, "timeout": 60})
    same((s, len(l), [set(e) for e in l]), (201, 3, [{"sandbox"}] * 3))
    made = [Box(host, e["sandbox"]["sandboxID"], e["sandbox"]["envdAccessToken"]) for e in l]
    same(len({m.id for m in made} | {b.id}), 4)
    for n, m in enumerate(made):
        same((m.get("f")[1], m.out("echo $E")), (b"shared", "f\n"))
        same(host.json("GET", "/sandboxes/" + m.id)[1]["metadata"], {"a": "b"})
        m.put("f", b"%d" % n)
    same(b.get("f")[1], b"shared")
    same([m.get("f")[1] for m in made], [b"0", b"1", b"2"])
    same(len(host.json("POST", f"/sandboxes/{b.id}/fork")[1]), 1)
    for bad in (0, 101, "x"):
        same(host.call("POST", f"/sandboxes/{b.id}/fork", {"count": bad})[0], 400)
    for e in host.json("GET", "/v2/sandboxes?metadata=a%3Db")[1]:
        Box(host, e["sandboxID"], None).kill()
    h = Host("--max-sandboxes", "2")
    try:
        c = h.create()
        s, l, _ = h.json("POST", f"/sandboxes/{c.id}/fork", {"count": 2})
        same((s, "sandbox" in l[0], l[1]["error"]["code"]), (201, True, 429))
        c2 = Box(h, l[0]["sandbox"]["sandboxID"], None)
        same(h.call("POST", f"/sandboxes/{c2.id}/pause")[0], 204)
        c3 = h.create()  # a paused one leaves its place
        same(h.call("POST", f"/sandboxes/{c2.id}/connect", {"timeout": 5})[0], 429)
        same(state_of(c2), "paused")
    finally:
        same(h.stop(), [])


@test
def metrics_of_the_kernel():
    b = host.create(timeout=600)
    url = f"/sandboxes/{b.id}/metrics"
    first = host.json("GET", url)[1][-1]
    b.start("while :; do :; done").next()
    b.start("python3 -c 'x = bytearray(80 << 20); import time; time.sleep(1000)'").next()
    time.sleep(1.3)
    s, l, _ = host.json("GET", url)
    m = l[-1]
    same(set(m), {"timestamp", "timestampUnix", "cpuCount", "cpuUsedPct", "memUsed", "memTotal", "memCache",
                  "diskUsed", "diskTotal"})
    check(m["cpuUsedPct"] > 20 and m["memUsed"] > 50 << 20 and m["memTotal"] > m["memUsed"]
          and m["diskTotal"] > m["diskUsed"] > 0 and abs(m["timestampUnix"] - time.time()) < 5, m)
    check(first["memUsed"] < m["memUsed"])
    t = m["timestampUnix"]
    same([e["timestampUnix"] for e in host.json("GET", f"{url}?start={t}&end={t}")[1]][-1], t)
    same(host.json("GET", f"{url}?end={first['timestampUnix'] - 1}")[1], [])
    same(host.json("GET", f"{url}?start={t + 100}")[1], [])
    for bad in ("start=x", "start=5&end=4", "end=-1"):
        same(host.call("GET", f"{url}?{bad}")[0], 400, bad)
    s, a, _ = host.json("GET", f"/sandboxes/metrics?sandbox_ids={b.id},{box.id}%2Cinone")
    same((s, set(a["sandboxes"])), (200, {b.id, box.id}))
    same(host.call("GET", "/sandboxes/metrics")[0], 400)
    same(host.call("GET", "/sandboxes/metrics?sandbox_ids=" + ",".join(["i"] * 101))[0], 400)
    e = json.loads(b.call("GET", "/metrics")[1])
    check(e["mem_used"] > 50 << 20, e)
    host.call("POST", f"/sandboxes/{b.id}/pause")
    check(host.json("GET", url)[1], "a paused one keeps its measurements")
    b.kill()


@test
def logs_of_a_life():
    b = host.create(timeout=600)
    host.call("POST", f"/sandboxes/{b.id}/pause")
    time.sleep(0.01)
    host.call("POST", f"/v2/sandboxes/{b.id}/connect", {})
    url = f"/v2/sandboxes/{b.id}/logs"
    s, l, _ = host.json("GET", url)
    l = l["logs"]
    words = [e["message"] for e in l]
    same(words[:3], ["sandbox started", "sandbox paused", "sandbox resumed"])
    check(all(e["level"] == "info" and isinstance(e["fields"], dict) for e in l), l)
    get = lambda q: [e["message"] for e in host.json("GET", url + "?" + q)[1]["logs"]]
    same(get("direction=backward"), words[::-1])
    same(get("limit=1"), words[:1])
    same(get("limit=1&direction=backward"), words[-1:])
    same(get("search=paus"), ["sandbox paused"])
    same(get("level=debug"), words)
    same(get("level=error"), [])
    ms = lambda e: int(__import__("datetime").datetime.fromisoformat(e["timestamp"].replace("Z", "+00:00"))
                       .timestamp() * 1000 + 0.5)
    same(get(f"cursor={ms(l[2])}"), words[2:])
    same(get(f"cursor={ms(l[1])}&direction=backward"), words[1::-1])
    for bad in ("limit=x", "level=odd", "direction=up", "cursor=x", "search=" + "x" * 257):
        same(host.call("GET", url + "?" + bad)[0], 400, bad)
    s, o, _ = host.json("GET", f"/sandboxes/{b.id}/logs?start=0&limit=2")
    same(([e["message"] for e in o["logEntries"]], [json.loads(e["line"])["message"] for e in o["logs"]]),
         (words[:2], words[:2]))
    b.run("exit 3")
    wait_for(lambda: get("search=ended"))
    started, ended = get("search=process")
    same(re.sub("[0-9]+", "N", started), "process N started: exit N")
    same(ended, started.split(" started")[0] + " ended: exit status 3")
    # however brief: each has a beginning and, after it, an end
    n = 120
    ts = [threading.Thread(target=lambda: [b.start("/bin/true", args=[]).all() for _ in range(n // 6)]) for _ in range(6)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    wait_for(lambda: len(get("search=ended")) == n + 1)
    told = get("search=process")
    same(len(told), 2 * n + 2)
    for pid in {w.split()[1] for w in told}:
        mine = [w.split()[2].rstrip(":") for w in told if w.split()[1] == pid]
        same(mine, ["started", "ended"] * (len(mine) // 2), pid)
    b.kill()
    same(host.call("GET", url)[0], 404)


@test
def network_on_and_off():
    if host.rung == 3 and os.uname().machine not in ("x86_64", "aarch64"):
        raise Skip("no seccomp filter for this machine")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    reach = f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached"
    b = host.create(network={"denyOut": ["0.0.0.0/0"]})
    check("reached" not in b.run(reach)[0])
    same(host.json("GET", "/sandboxes/" + b.id)[1]["allowInternetAccess"], False)
    b.kill()
    b = host.create()
    check("reached" in b.run(reach)[0])
    url = f"/sandboxes/{b.id}/network"
    busy = b.start("exec sleep 1000")
    pid = busy.next()["start"]["pid"]
    s, m, _ = host.json("PUT", url, {"allow_internet_access": False})
    check(s == 409 and "end them first" in m["message"], (s, m))
    b.proc("SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"})
    busy.all()
    wait_for(lambda: host.call("PUT", url, {"denyOut": ["0.0.0.0/0"]})[0] == 204)
    check("reached" not in b.run(reach)[0])
    same(host.call("PUT", url, {})[0], 204)
    check("reached" in b.run(reach)[0])
    same(host.call("PUT", url, {"allow_internet_access": False})[0], 204)
    host.call("POST", f"/sandboxes/{b.id}/pause", {"memory": False})
    host.call("POST", f"/v2/sandboxes/{b.id}/connect", {})
    check("reached" not in b.run(reach)[0], "forgotten by a pause")
    for body, status in (({"allow_internet_access": 1}, 400), ({"rules": {"a": [{}]}}, 501),
                         ({"denyOut": "x"}, 400), ({"allowOut": ["1.1.1.1"]}, 501)):
        same(host.call("PUT", url, body)[0], status, body)
    b.kill()
    listener.close()


@test
def state_survives():
    d = tempfile.mkdtemp(prefix="hostcheck-state-")
    os.chmod(d, 0o711)
    if os.geteuid() == 0 and ISOLATION != "1":
        os.chmod(d, 0o755)
    ids = {}
    for sig in (signal.SIGTERM, signal.SIGKILL):
        h = Host("--state", d)
        frozen, files, runs = h.create(timeout=600, metadata={"k": "v"}, envVars={"E": "f"}), h.create(), h.create()
        s, m, _ = h.json("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 700, "autoPause": True,
                         "autoResume": {"enabled": True}, "network": {"allowPublicTraffic": False}})
        woken, traffic = Box(h, m["sandboxID"], m["envdAccessToken"]), m["trafficAccessToken"]
        runs.put("in/it", b"snapped")
        woken.put("server.py", SERVER.encode())
        same(h.call("POST", f"/sandboxes/{woken.id}/pause")[0], 204)
        look = counting(frozen)
        files.put("f", b"files")
        same(h.call("POST", f"/sandboxes/{frozen.id}/pause")[0], 204)
        same(h.call("POST", f"/sandboxes/{files.id}/pause", {"memory": False})[0], 204)
        snap = h.json("POST", f"/sandboxes/{runs.id}/snapshots", {"name": "kept"})[1]["snapshotID"]
        h.stop(sig)
        time.sleep(0.5 if sig == signal.SIGKILL else 0)
        check(not [f for f in os.listdir(d + "/boxes") if f not in (frozen.id, files.id, woken.id)], os.listdir(d + "/boxes"))
        os.makedirs(d + "/boxes/ihalf/upper")  # as a host that was cut off would leave it
        os.makedirs(d + "/snapshots/half/files")
        h = Host("--state", d)
        same(sorted(os.listdir(d + "/boxes")), sorted([frozen.id, files.id, woken.id]))
        same(os.listdir(d + "/snapshots"), [snap.split(":")[0]])
        same({e["sandboxID"]: e["state"] for e in h.json("GET", "/v2/sandboxes")[1]},
             {frozen.id: "paused", files.id: "paused", woken.id: "paused"})
        frozen.host = files.host = woken.host = h
        # by traffic that may come in only: its tokens and wishes are as they were
        there = {"E2b-Sandbox-Id": woken.id, "E2b-Sandbox-Port": "9"}
        same((h.call("GET", "/", headers=there, key=False)[0], state_of(woken)), (403, "paused"))
        same(h.call("GET", "/", headers={**there, "e2b-traffic-access-token": traffic}, key=False)[0], 502)
        i = h.json("GET", "/sandboxes/" + woken.id)[1]
        same((i["state"], i["lifecycle"]), ("running", {"autoResume": True, "onTimeout": "pause"}))
        same(woken.get("server.py")[1], SERVER.encode())
        same(woken.kill(), 204)
        same([(e["snapshotID"], e["names"]) for e in h.json("GET", "/snapshots")[1]], [(snap, ["kept:default"])])
        s, m, _ = h.json("POST", f"/v2/sandboxes/{frozen.id}/connect", {})
        same((s, m["envdAccessToken"]), (201, frozen.token))
        check(look() > 0)
        same(frozen.out("echo $E"), "f\n")
        same(h.json("GET", "/sandboxes/" + frozen.id)[1]["metadata"], {"k": "v"})
        same(h.call("POST", f"/v2/sandboxes/{files.id}/connect", {})[0], 201)
        same(files.get("f")[1], b"files")
        x = h.create(templateID="kept")
        same(x.out("cat in/it"), "snapped")
        same(h.call("DELETE", "/templates/kept")[0], 204)
        files.host.call("POST", f"/sandboxes/{files.id}/pause")
        same(files.kill(), 204)
        h.stop()
        same(os.listdir(d), [])
    shutil.rmtree(d)


# ---- routing ----
@test
def routing():
    def plain(headers, status, text, path="/health"):
        s, b, _ = host.call("GET", path, headers=headers, key=False)
        check(s == status and text in b.decode(), (headers, s, b))
    plain({"E2b-Sandbox-Id": box.id}, 400, "missing header")
    plain({"E2b-Sandbox-Port": "49983"}, 400, "missing header")
    plain({"E2b-Sandbox-Id": "No!", "E2b-Sandbox-Port": "49983"}, 400, "Invalid sandbox ID")
    plain({"E2b-Sandbox-Id": box.id, "E2b-Sandbox-Port": "x"}, 400, "Invalid sandbox port")
    plain({"E2b-Sandbox-Id": "inone", "E2b-Sandbox-Port": "49983"}, 502, "was not found")
    s, b, _ = host.call("GET", "/", headers={"E2b-Sandbox-Id": box.id, "E2b-Sandbox-Port": "9"}, key=False)
    same((s, json.loads(b)), (502, {"sandboxId": box.id, "message": "The sandbox is running but port is not open",
                                    "port": 9, "code": 502}))
    plain({"Host": f"49983-{box.id}.e2b.example"}, 204, "")
    plain({"Host": "49983-inone.e2b.example"}, 502, "was not found")
    plain({"Host": "api.e2b.example"}, 200, "Health check")
    plain(box.headers, 404, '"path"', "/init")
    plain(box.headers, 404, "404 page not found", "/nope")


SERVER = r"""
import http.server, sys, time, hashlib, base64
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def reply(self, body, status=200, **headers):
        self.send_response(status)
        for k, v in headers.items(): self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(body)
    def read(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            out = b""
            while True:
                n = int(self.rfile.readline(), 16)
                out += self.rfile.read(n)
                self.rfile.readline()
                if n == 0: return out
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))
    def do_GET(self):
        if self.path == "/ws":
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Upgrade", "websocket"); self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
            self.end_headers()
            self.wfile.write(b"hello first")
            self.wfile.flush()
            while (b := self.rfile.read1(100)):
                self.wfile.write(b.upper()); self.wfile.flush()
            self.close_connection = True
        elif self.path == "/slow":
            self.send_response(200); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            for i in range(4):
                self.wfile.write(b"3\r\n%d, \r\n" % i); self.wfile.flush(); time.sleep(0.3)
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/cut":
            self.send_response(200); self.send_header("Content-Length", "100"); self.end_headers()
            self.wfile.write(b"short"); self.close_connection = True
        elif self.path == "/none": self.close_connection = True
        elif self.path == "/204": self.send_response(204); self.end_headers()
        else:
            self.reply(repr((self.path, dict(self.headers))).encode(), 207, X_One="a", Set_Cookie="c=d")
    do_HEAD = do_GET
    def do_POST(self): self.reply(hashlib.sha256(self.read()).hexdigest().encode() + self.command.encode())
    do_PUT = do_DELETE = do_POST
    def log_message(self, *a): pass
class S(http.server.ThreadingHTTPServer):
    daemon_threads = True
    address_family = int(sys.argv[2])
S((sys.argv[3], int(sys.argv[1])), H).serve_forever()
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def serve(b, family=socket.AF_INET, bind="127.0.0.1", port=None):
    """A server inside: how to call it by header and by name."""
    port = port or free_port()
    b.put("server.py", SERVER.encode())
    b.start(f"exec python3 server.py {port} {int(family)} {bind}").next()
    h = {"E2b-Sandbox-Id": b.id, "E2b-Sandbox-Port": str(port)}
    def call(method, path, body=None, headers=None, by_name=False, **k):
        routed = {"Host": f"{port}-{b.id}.sandbox.example"} if by_name else h
        return b.host.call(method, path, body, dict(routed, **(headers or {})), key=False, **k)
    wait_for(lambda: call("GET", "/204")[0] == 204)
    call.port, call.headers = port, h
    return call


def all_of_http(call, b):
    for by_name in (False, True):
        s, body, h = call("GET", "/a%2Fb?c=%20d&e", headers={"X-Mine": "1"}, by_name=by_name)
        path, seen = eval(body)
        same((s, path, seen["X-Mine"], h["X-One"], h["Set-Cookie"]), (207, "/a%2Fb?c=%20d&e", "1", "a", "c=d"))
        check("X-API-Key" not in seen and "E2b-Sandbox-Id" not in seen, seen)
        if by_name:
            same(seen["Host"], f"{call.port}-{b.id}.sandbox.example")
    big = os.urandom(3 << 20)
    want = hashlib.sha256(big).hexdigest()
    for method in ("POST", "PUT", "DELETE"):
        same(call(method, "/", big)[1].decode(), want + method)
    chunks = iter([big[:5], big[5:70000], big[70000:]])
    same(call("POST", "/", chunks)[1].decode(), want + "POST")  # in chunks
    s, body, h = call("HEAD", "/x")
    check(s == 207 and body == b"" and int(h["Content-Length"]) > 20, (s, body, h))
    same(call("GET", "/204")[:2], (204, b""))
    s, body, _ = call("GET", "/none")
    same((s, json.loads(body)["message"]), (502, "The sandbox is running but port is not open"))


@test
def servers_inside():
    b = host.create(timeout=600)
    call = serve(b)
    all_of_http(call, b)
    try:
        call("GET", "/cut")
        check(False, "a cut answer looks whole")
    except http.client.IncompleteRead as e:
        same(e.partial, b"short")
    c = host.connection()
    c.request("GET", "/slow", headers=call.headers)
    r, at, t = c.getresponse(), [], time.time()
    while (piece := r.read1(100)):
        at.append(time.time() - t)
    check(len(at) >= 4 and at[0] < 0.25 and at[-1] > 0.6, at)
    c.close()
    s = socket.create_connection(("127.0.0.1", host.port))
    s.settimeout(10)
    s.sendall((f"GET /ws HTTP/1.1\r\nHost: {call.port}-{b.id}.x.y\r\nConnection: keep-alive, Upgrade\r\n"
               "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
    got = b""
    while b"hello first" not in got:
        got += s.recv(4096)
    check(got.startswith(b"HTTP/1.1 101") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in got, got)
    for word in (b"\x81\x00abc", b"x" * 50):
        s.sendall(word)
        back = b""
        while len(back) < len(word):
            back += s.recv(100)
        same(back, word.upper())
    # others' servers are not reached, neither this machine's nor another sandbox's
    listener = socket.create_server(("127.0.0.1", 0))
    other = host.create()
    for x, port in ((b, listener.getsockname()[1]), (b, host.port), (other, call.port)):
        st, body, _ = host.call("GET", "/", headers={"E2b-Sandbox-Id": x.id, "E2b-Sandbox-Port": str(port)}, key=False)
        same((st, json.loads(body).get("port")), (502, port))
    listener.close()
    other.kill()
    # a pause keeps it, and its connections
    host.call("POST", f"/sandboxes/{b.id}/pause")
    st, body, _ = call("GET", "/")
    same((st, json.loads(body)["message"]), (502, "The sandbox was not found"))
    host.call("POST", f"/v2/sandboxes/{b.id}/connect", {})
    same(call("GET", "/")[0], 207)
    s.sendall(b"still")
    same(s.recv(100), b"STILL")
    b.kill()
    same(s.recv(100), b"")
    s.close()


def own_address():
    """Of this machine, but not of its loopback; None: it is alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            return s.getsockname()[0]
        except OSError:
            return None


@test
def networks_of_their_own():
    try:
        h = Host("--network", "own", isolation=ISOLATION if ISOLATION != "auto" else str(host.rung))
    except RuntimeError as e:
        h = Host("--network", "auto")  # says what it has instead
        found = h.json("GET", "/status")[1]["isolation"]["found"]
        h.stop()
        check(h.rung == 3 or "no own network" in found, found)
        raise Skip(str(e).strip()[-120:])
    try:
        own_networks(h)
    finally:
        if h.p.poll() is None:
            h.stop()


def own_networks(h):
    boxes = [h.create(timeout=600), h.create(timeout=600), h.create(timeout=600, allow_internet_access=False)]
    calls = [serve(b, bind=bind, port=8000) for b, bind in zip(boxes, ("127.0.0.1", "0.0.0.0", "127.0.0.1"))]
    for b, call in zip(boxes, calls):
        all_of_http(call, b)
    b, closed, address = boxes[0], boxes[2], own_address()
    tell = lambda b, host, port: b.run("python3 -c 'import socket, errno\n"
        f"try: socket.create_connection((\"{host}\", {port}), 5); print(\"OK\")\n"
        "except OSError as e: print(errno.errorcode.get(e.errno, e))'")[0].strip()
    for inside in boxes:
        same(tell(inside, "127.0.0.1", h.port), "ECONNREFUSED", "the loopback of this machine")
    outside = "ECONNREFUSED" if address else None
    net = lambda on: same(h.call("PUT", f"/sandboxes/{b.id}/network", {"allow_internet_access": on})[0], 204)
    again = lambda memory: [h.call("POST", f"/sandboxes/{b.id}/pause", {"memory": memory}),
                            h.call("POST", f"/v2/sandboxes/{b.id}/connect", {})]
    for off in (closed, b):
        if off is b:
            net(False)  # with a server that runs
        same(tell(off, address or "192.0.2.1", free_port()), "ENETUNREACH")
    same(calls[0]("GET", "/204")[0], 204)
    again(True)
    again(False)
    same(tell(b, address or "192.0.2.1", free_port()), "ENETUNREACH", "forgotten by a pause")
    net(True)
    for memory in (True, False):
        if outside:
            same(tell(b, address, free_port()), outside)
        again(memory)
    same(b.out("cat /etc/resolv.conf"), "nameserver 10.0.2.3\n")
    check(b.run("ip link set tap0 down; umount /etc/resolv.conf", user="root")[2].get("exitCode"), "root undid it")
    same(b.kill(), 204)
    uplinks = lambda: [p for p in descendants(h.p.pid) if "slirp4netns" in name_of(p)]
    wait_for(lambda: len(uplinks()) == 2)
    left = uplinks()
    h.stop(signal.SIGKILL)
    wait_for(lambda: not any("slirp4netns" in name_of(p) for p in left))


@test
def servers_of_every_kind():
    if host.rung < 3:  # a network of its own: ports of this machine and of others do not matter
        boxes = [host.create(timeout=600, allow_internet_access=False) for _ in range(2)]
        for b in boxes:
            all_of_http(serve(b, port=8000), b)
        for b in boxes:
            b.kill()
    for family, bind in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")):
        b = host.create(timeout=600)
        same(serve(b, family, bind)("GET", "/")[0], 207)
        b.kill()


@test
def traffic_tokens_and_masks():
    s, m, _ = host.json("POST", "/v2/sandboxes", {"templateID": "base", "autoPause": True, "timeout": 600,
                        "autoResume": {"enabled": True}, "network": {"allowPublicTraffic": False,
                                                                     "maskRequestHost": "in.side:${PORT}"}})
    same(s, 201, m)
    b = Box(host, m["sandboxID"], m["envdAccessToken"])
    port = free_port()
    b.put("server.py", SERVER.encode())
    b.start(f"exec python3 server.py {port} 2 127.0.0.1").next()
    h = {"E2b-Sandbox-Id": b.id, "E2b-Sandbox-Port": str(port)}
    token = m["trafficAccessToken"]
    get = lambda t=None: host.call("GET", "/", headers={**h, **({"e2b-traffic-access-token": t} if t else {})}, key=False)
    wait_for(lambda: get(token)[0] == 207)
    same(eval(get(token)[1])[1]["Host"], f"in.side:{port}")
    check("Traffic" not in str(eval(get(token)[1])[1]))
    for t, word in ((None, "is missing"), ("x", "is invalid"), (token[:-1], "is invalid")):
        s, body, _ = get(t)
        check(s == 403 and json.loads(body)["code"] == 403 and word in json.loads(body)["message"], (t, s, body))
    same(b.call("GET", "/health")[0], 204, "the daemon has its own token")
    s, again, _ = host.json("POST", f"/v2/sandboxes/{b.id}/connect", {})
    same(again["trafficAccessToken"], token)
    host.call("POST", f"/sandboxes/{b.id}/pause")
    same((get("x")[0], state_of(b)), (403, "paused"))
    same((get(token)[0], state_of(b)), (207, "running"))
    b.kill()


@test
def tokens():
    for token in (None, "", "x", box.token[:-1], box.token + "0"):
        h = {"X-Access-Token": token} if token is not None else {}
        bare = {"E2b-Sandbox-Id": box.id, "E2b-Sandbox-Port": "49983", **h}
        s, b, _ = host.json("GET", "/envs", headers=bare)
        check(s == 401 and "unauthorized access" in b["message"], (token, s, b))
        s, b, _ = host.json("POST", "/filesystem.Filesystem/Stat", {"path": "/"}, bare)
        same(s, 401)
        same(host.call("GET", "/health", headers=bare)[0], 204)
        s, b, _ = host.json("GET", "/files?path=/etc/passwd", headers=bare)
        check(s == 401, (token, s, b))


@test
def tokens_of_another():
    """What opens one sandbox opens no other: tokens, signatures, traffic tokens."""
    made = [host.json("POST", "/v2/sandboxes", {"templateID": "base", "network": {"allowPublicTraffic": False}})[1] for _ in range(2)]
    a, b = (Box(host, m["sandboxID"], m["envdAccessToken"]) for m in made)
    check(a.token != b.token and made[0]["trafficAccessToken"] != made[1]["trafficAccessToken"], made)
    a.put("/home/user/f", b"of a")
    b.put("/home/user/f", b"of b")
    to_a = {"E2b-Sandbox-Id": a.id, "E2b-Sandbox-Port": "49983"}
    of_b = {**to_a, "X-Access-Token": b.token}
    for method, path, body, more in (("GET", "/envs", None, {}), ("GET", "/metrics", None, {}), ("GET", "/files?path=/home/user/f", None, {}),
            ("POST", "/files?path=/home/user/f", b"x", {"Content-Type": "application/octet-stream"}),
            ("POST", "/filesystem.Filesystem/Stat", {"path": "/"}, {}), ("POST", "/process.Process/List", {}, {}),
            ("POST", "/process.Process/Start", envelope({"process": {"cmd": "true"}}), {"Content-Type": "application/connect+json"}),
            ("POST", "/filesystem.Filesystem/WatchDir", envelope({"path": "/"}), {"Content-Type": "application/connect+json"}),
            ("POST", "/files/compose", {"source_paths": ["f"], "destination": "g"}, {})):
        for token in (b.token, KEY, made[0]["trafficAccessToken"], ""):
            same(host.call(method, path, body, {**to_a, **more, "X-Access-Token": token})[0], 401, (method, path))
    same(a.get("f")[1], b"of a")
    def signed(token, expires=None):
        text = f"/home/user/f:read:user:{token}" + (f":{expires}" if expires else "")
        q = {"path": "/home/user/f", "username": "user",
             "signature": "v1_" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")}
        return "/files?" + urllib.parse.urlencode({**q, **({"signature_expiration": expires} if expires else {})})
    same(host.call("GET", signed(a.token), headers=to_a)[:2], (200, b"of a"))
    for url in (signed(b.token), signed(b.token, int(time.time()) + 60), signed(""), signed(KEY)):
        same(host.call("GET", url, headers=to_a)[0], 401, url)
    # a time that was put behind, changed or taken away
    soon = int(time.time()) + 60
    for url in (signed(a.token, soon).replace(str(soon), str(soon + 1)), signed(a.token, soon).split("&signature_exp")[0],
                signed(a.token) + f"&signature_expiration={soon}", signed(a.token) + "&signature_expiration=x"):
        same(host.call("GET", url, headers=to_a)[0] in (400, 401), True, url)
    same([host.call("GET", signed(x.token))[1] for x in (a, b)], [b"of a", b"of b"])  # each finds its own
    brief = signed(a.token, int(time.time()) + 2)
    same(host.call("GET", brief, headers=to_a)[0], 200)
    wait_for(lambda: host.call("GET", brief, headers=to_a)[0] == 401)
    for by in ({"E2b-Sandbox-Id": a.id, "E2b-Sandbox-Port": "8000"}, {"Host": f"8000-{a.id}.any.domain"}):
        for token, status in ((made[1]["trafficAccessToken"], 403), (a.token, 403), (made[0]["trafficAccessToken"], 502)):
            same(host.call("GET", "/", headers={**by, "E2b-Traffic-Access-Token": token}, key=False)[0], status, by)
    for x in (a, b):
        x.kill()
    same(host.call("GET", signed(a.token), headers=to_a)[0], 502)
    check(host.call("GET", signed(a.token), key=False)[0] in (401, 404))


@test
def envs_and_metrics():
    b = host.create(envVars={"FOO": "a b"})
    s, body, _ = b.call("GET", "/envs")
    e = json.loads(body)
    check(s == 200 and e["FOO"] == "a b" and e["E2B_SANDBOX"] == "true" and e["E2B_SANDBOX_ID"] == b.id, e)
    s, body, _ = b.call("GET", "/metrics")
    m = json.loads(body)
    check(s == 200 and m["cpu_count"] > 0 and m["mem_total"] > 0 and m["disk_total"] > 0, m)
    b.kill()


# ---- files ----
@test
def files_round_trip():
    for data in (b"", b"x", os.urandom(3 << 20)):
        s, b, h = box.put("/home/user/r/data.bin", data)
        check(s == 200 and json.loads(b) == [{"path": "/home/user/r/data.bin", "name": "data.bin",
                                              "type": "file"}], b)
        s, b, h = box.get("r/data.bin")
        same((s, b), (200, data))
        same(h["Content-Length"], str(len(data)))
        same(h["Accept-Ranges"], "bytes")
    box.put("odd näme+ &.txt", b"1")
    s, b, h = box.get("odd näme+ &.txt")
    same((s, b), (200, b"1"))
    check(h["Content-Type"].startswith("text/plain") and "filename*=utf-8''" in h["Content-Disposition"], h)
    same(box.call("GET", "/files?path=odd%20n%C3%A4me%2B%20%26.txt")[0], 200)
    box.put("pic.png", b"\x89PNG")
    h = box.get("pic.png")[2]
    same((h["Content-Type"], h["Content-Disposition"]), ("image/png", "inline; filename=pic.png"))


@test
def ranges():
    box.put("range.txt", b"0123456789")
    for r, status, body, where in (("bytes=2-4", 206, b"234", "bytes 2-4/10"), ("bytes=7-", 206, b"789", "bytes 7-9/10"),
                                   ("bytes=-3", 206, b"789", "bytes 7-9/10"), ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
                                   ("bytes=10-", 416, b"", "bytes */10"), ("bytes=4-2", 416, b"", "bytes */10"),
                                   ("lines=1-2", 200, b"0123456789", None), ("bytes=1-2,4-5", 200, b"0123456789", None)):
        s, b, h = box.get("range.txt", {"Range": r})
        same((s, b, h["Content-Range"]), (status, body, where), r)
    h = box.get("range.txt")[2]
    same(box.get("range.txt", {"If-Modified-Since": h["Last-Modified"]})[0], 304)


@test
def file_errors():
    def error(reply, status, text):
        b = json.loads(reply[1])
        check(reply[0] == status and b["code"] == status and text in b["message"], reply[:2])
    error(box.get("/etc"), 400, "path '/etc' is a directory")
    error(box.get("nope"), 404, "path '/home/user/nope' does not exist")
    error(box.get("/etc/passwd/x"), 400, "Not a directory")
    error(box.get("x", username="bob"), 401, "error looking up user 'bob': user: unknown user bob")
    error(box.get("~bob/x"), 400, "home directory")
    error(box.get("/dev/null" if host.rung < 3 else "/etc"), 400, "not a regular file" if host.rung < 3 else "directory")
    error(box.call("GET", "/files?path=a%00b"), 400, "NUL")
    error(box.get("a" * 300), 400, "too long")
    error(box.put("/etc", b"x"), 400, "path '/etc' is a directory")
    error(box.put("newdir/", b"x"), 400, "is a directory")
    error(box.put("/etc/passwd/x", b"x"), 400, "Not a directory")
    error(box.call("POST", "/files?path=x", b"x", {"Content-Type": "text/plain"}), 400, "unsupported content type: text/plain")
    error(box.call("POST", "/files?path=x", b"x", {"Content-Type": "application/octet-stream",
                                                   "Content-Encoding": "br"}), 400, "content encoding")
    error(box.call("POST", "/files/compose", {"source_paths": ["a"], "destination": "b"}, {"X-Access-Token": "x"}), 401, "unauthorized")
    error(box.call("POST", "/files", b"x", {"Content-Type": "application/octet-stream"}), 400, "path")
    error(box.call("POST", "/files", b"x", {"Content-Type": "multipart/form-data"}), 400, "boundary")
    error(box.call("POST", "/files", b"no parts here", MULTI), 400, "multipart")
    same(box.call("PUT", "/files?path=x", b"x")[0], 405)
    if host.rung < 3:
        same(box.get("/proc/1/environ")[0], 403)


@test
def files_of_proc():
    """They have no size, and answer by the rights of who reads: a process inside does."""
    if host.rung == 3:
        same(box.get("/proc/uptime")[0], 404)
        return
    fds, busy = host.fds(), box.start("sleep", args=["1000"])
    pid = busy.next()["start"]["pid"]
    s, b, h = box.get(f"/proc/{pid}/cmdline")
    same((s, b, h["Content-Length"]), (200, b"sleep\x001000\0", None))
    same(box.get(f"/proc/{pid}/cmdline", {"Range": "bytes=0-1"})[:2], (200, b))
    s, b, h = box.get(f"/proc/{pid}/environ", {"Accept-Encoding": "gzip"})
    check(s == 200 and h["Content-Encoding"] == "gzip" and b"HOME=/home/user" in gzip.decompress(b), (s, b))
    box.out("ln -sf /proc/self/status st")
    check(b"\nUid:\t1000\t1000" in box.get("st")[1], "not the user's")
    check(b"\nUid:\t0\t0" in box.get("/proc/self/status", username="root")[1], "not root's")
    if host.rung == 1:  # no more than a command of root has
        caps = lambda text: re.search("CapEff:.*", text).group()
        same(caps(box.get("/proc/self/status", username="root")[1].decode()),
             caps(box.out("cat /proc/self/status", user="root")))
    same(box.get("/proc/nothing")[0], 404)
    same(box.get("/proc/self")[0], 400)
    big = box.get("/proc/kallsyms")  # more than a pipe holds, where there is one
    check(big[0] in (403, 404) or len(big[1]) > 100000, big[:1])
    closed = host.create(allow_internet_access=False)
    same(closed.get("/proc/net/dev")[1].count(b":"), 1)
    closed.kill()
    box.proc("SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"})
    busy.all()
    for _ in range(20):
        same(box.get("/proc/uptime")[0], 200)
    wait_for(lambda: host.fds() <= fds + 2)
    wait_for(lambda: not re.search("agent", box.out("cat /proc/[2-9]*/comm 2>/dev/null; true")))


@test
def gzip_both_ways():
    raw_type = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    data = os.urandom(200000) + bytes(3 << 20)
    packed = gzip.compress(data)
    for body, what in ((packed, data), (gzip.compress(data[:1000]) + gzip.compress(data[1000:]), data), (gzip.compress(b""), b"")):
        s, b, _ = box.call("POST", "/files?path=gz.bin", body, raw_type)
        same((s, box.get("gz.bin")[1] == what), (200, True), b)
    c = host.connection()
    c.request("POST", "/files?path=gz.bin", (packed[i:i + 1] for i in range(3000)), dict(box.headers, **raw_type), encode_chunked=True)
    same(c.getresponse().status, 400, "cut")
    c.close()
    for body, text in ((packed[:-1], b"ends too early"), (b"plain", b"damaged"), (packed + b"more", b"damaged"), (b"", b"ends too early")):
        s, b, _ = box.call("POST", "/files?path=gz.bin", body, raw_type)
        check(s == 400 and text in b, (s, b))
    same((box.get("gz.bin")[1], box.leftovers()), (b"", []))
    s, b, _ = box.call("POST", "/files", gzip.compress(multipart([("file", "gz1", b"1"), ("file", "gz2", data)])), {**MULTI, "Content-Encoding": "gzip"})
    same((s, box.get("gz2")[1] == data, box.get("gz1")[1]), (200, True, b"1"), b)
    for accept, coding in (("gzip, deflate", "gzip"), ("gzip", "gzip"), ("deflate, gzip;q=0.5", "gzip"), ("GZIP ; q=1.0", "gzip"), ("br;q=1, gzip;q=0.8, *;q=0.1", "gzip"),
                           ("identity, gzip;q=0.5", None), ("gzip;q=0", None), ("identity", None), ("*", None), ("br", None), ("", None), ("identity;q=0, *", "gzip")):
        s, b, h = box.get("gz2", {"Accept-Encoding": accept})
        same((s, h["Content-Encoding"], h["Vary"]), (200, coding, "Accept-Encoding"), accept)
        check((gzip.decompress(b) if coding else b) == data and ("Accept-Ranges" in h) == (not coding), accept)
    for accept, more in (("identity;q=0", {}), ("*;q=0", {}), ("gzip, identity;q=0", {"Range": "bytes=0-1"})):
        same(box.get("gz2", {"Accept-Encoding": accept, **more})[0], 406, accept)
    s, b, h = box.get("gz2", {"Accept-Encoding": "gzip", "Range": "bytes=2-5"})
    same((s, b, h["Content-Encoding"]), (206, data[2:6], None))
    box.put("empty", b"")
    same(gzip.decompress(box.get("empty", {"Accept-Encoding": "gzip"})[1]), b"")
    modified = box.get("gz2")[2]["Last-Modified"]
    same(box.get("gz2", {"Range": "bytes=0-3", "If-Range": modified})[:2], (206, data[:4]))
    same(box.get("gz2", {"Range": "bytes=0-3", "If-Range": "Sat, 01 Jan 2000 00:00:00 GMT"})[0], 200)


@test
def metadata_of_files():
    raw_type = {"Content-Type": "application/octet-stream"}
    s, b, _ = box.call("POST", "/files?path=meta.txt", b"x", {**raw_type, "X-Metadata-Author": "A. B", "x-metadata-two": ""})
    if s == 501:
        check(b"keeps none" in b and box.get("meta.txt")[0] == 404, b)
        raise Skip("no user attributes on this file system")
    same((s, json.loads(b)[0]["metadata"]), (200, {"author": "A. B", "two": ""}))
    stat = lambda path: box.rpc("Stat", {"path": path})[1]["entry"].get("metadata")
    same(stat("meta.txt"), {"author": "A. B", "two": ""})
    same([e["metadata"] for e in box.rpc("ListDir", {"path": "."})[1]["entries"] if e["name"] == "meta.txt"], [{"author": "A. B", "two": ""}])
    box.rpc("Move", {"source": "meta.txt", "destination": "meta2.txt"})
    same(stat("meta2.txt"), {"author": "A. B", "two": ""})
    same(box.put("meta2.txt", b"y")[0], 200)
    same(stat("meta2.txt"), None, "replaced by none")
    s, b, _ = box.call("POST", "/files", multipart([("file", "meta3", b"1"), ("file", "meta4", b"2")]), {**MULTI, "X-Metadata-k": "v"})
    same(([e["metadata"] for e in json.loads(b)], stat("meta3"), stat("meta4")), ([{"k": "v"}] * 2, {"k": "v"}, {"k": "v"}))
    box.out("ln -s meta3 metalink")
    same(stat("metalink"), None)
    for h in ({"X-Metadata-a": "ü".encode()}, {"X-Metadata-": "x"}, {"X-Metadata-" + "k" * 247: "v"}, {"X-Metadata-a": "v" * 4087}, {"X-Metadata-a": "v" * 3000, "X-Metadata-b": "v" * 1100}):
        s, b, _ = box.call("POST", "/files?path=meta5", b"x", {**raw_type, **h})
        check(s == 400 and b"metadata" in b, (h, s, b))
    same(box.get("meta5")[0], 404)
    same(box.call("POST", "/files?path=meta5", b"x", {**raw_type, "X-Metadata-" + "k" * 246: "v" * 1000})[0], 200)


@test
def composing():
    def make(sources, to, **more):
        s, b, _ = box.call("POST", "/files/compose", {"source_paths": sources, "destination": to, **more})
        return s, json.loads(b)
    big = os.urandom(3 << 20)
    for name, data in (("c/1", b"one "), ("c/2", big), ("c/3", b"")):
        box.put(name, data)
    same(make(["c/1", "c/2", "c/3", "c/1"], "c/new/all"), (200, {"path": "/home/user/c/new/all", "name": "all", "type": "file"}))
    same(box.get("c/new/all")[1], b"one " + big + b"one ")
    same([box.get(f"c/{i}")[0] for i in (1, 2, 3)], [404] * 3)
    box.put("c/a", b"a")
    box.put("c/b", b"b")
    same(make(["c/a", "c/b"], "c/a")[0], 200)
    same((box.get("c/a")[1], box.get("c/b")[0]), (b"ab", 404))
    for args, status, text in (((["c/none"], "c/x"), 404, "'/home/user/c/none' does not exist"), (([], "c/x"), 400, "source_paths"), (("c/a", "c/x"), 400, "source_paths"),
                               (([5], "c/x"), 400, "source_paths"), ((["c/a"], ""), 400, "destination"), ((["c/new"], "c/x"), 400, "is a directory"),
                               ((["c/a"], "c/new"), 400, "is a directory"), ((["c/a", "c/none"], "c/x"), 404, "does not exist")):
        s, b = make(*args)
        check(s == status and b["code"] == status and text in b["message"], (args, s, b))
    same(make(["c/a"], "c/x", username="bob")[0], 401)
    same((box.get("c/x")[0], box.get("c/a")[1], box.leftovers("c")), (404, b"ab", []))
    same(box.call("POST", "/files/compose", "no json", {"Content-Type": "application/json"})[0], 400)


@test
def multipart_uploads():
    parts = [("file", "m/a.txt", b"AAA"), ("file", "/tmp/m b.txt", b""), ("note", "skipped", b"zz"),
             ("file", "m/ü.bin", os.urandom(200000)), ("file", 'm/q%22q.txt', b"\r\n--xxBOUND\r\n")]
    s, b, _ = box.call("POST", "/files", multipart(parts), MULTI)
    check(s == 200 and [e["path"] for e in json.loads(b)] == ["/home/user/m/a.txt", "/tmp/m b.txt",
          "/home/user/m/ü.bin", '/home/user/m/q"q.txt'], b)
    for name, path, data in parts:
        if name == "file":
            same(box.get(path.replace("%22", '"'))[1], data, path)
    s, b, _ = box.call("POST", "/files?path=one.txt&username=user", multipart([("file", "one.txt", b"1")]), MULTI)
    same((s, box.get("one.txt")[1]), (200, b"1"))
    s, b, _ = box.call("POST", "/files", multipart([("file", "dup", b"1"), ("file", "dup", b"2")]), MULTI)
    check(s == 400 and b"same path" in b, b)
    same(box.get("dup")[0], 404)
    s, b, _ = box.call("POST", "/files", multipart([("file", "t1", b"1"), ("file", "t2", b"2" * 100)], end=False), MULTI)
    check(s == 400 and b"last boundary" in b, b)
    same((box.get("t1")[0], box.get("t2")[0], box.leftovers()), (404, 404, []))
    s, b, _ = box.call("POST", "/files", multipart([("file", f"many/{i}", b"%d" % i) for i in range(500)]), MULTI)
    same((s, len(json.loads(b)), box.get("many/499")[1]), (200, 500, b"499"))


@test
def chunked_bodies():
    c = host.connection()
    h = dict(box.headers, **{"Content-Type": "application/octet-stream"})
    c.request("POST", "/files?path=chunked", (b"part%d" % i for i in range(3)), h, encode_chunked=True)
    same(c.getresponse().status, 200)
    c.close()
    same(box.get("chunked")[1], b"part0part1part2")
    c = host.connection()
    c.request("POST", "/v2/sandboxes", iter([b'{"templateID":', b'"base"}']), {"X-API-Key": KEY}, encode_chunked=True)
    r = c.getresponse()
    same(r.status, 201)
    Box(host, json.loads(r.read())["sandboxID"], None).kill()
    c.close()


def raw(request, wait=5.0):
    s = socket.create_connection(("127.0.0.1", host.port), wait)
    s.sendall(request)
    return s


def raw_head(path, extra):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost"] + [f"{k}: {v}" for k, v in box.headers.items()]
    return ("\r\n".join(lines + extra) + "\r\n\r\n").encode()


@test
def cut_and_odd_uploads():
    box.put("keep.txt", b"old content")
    s = raw(raw_head("/files?path=keep.txt", ["Content-Type: application/octet-stream", "Content-Length: 100000"]) + b"x" * 5000)
    time.sleep(0.2)
    check(box.leftovers() != [], "the upload has begun")
    s.close()
    for _ in range(50):
        if not box.leftovers():
            break
        time.sleep(0.05)
    same((box.leftovers(), box.get("keep.txt")[1]), ([], b"old content"))
    # larger than announced: the first bytes count, the rest is no request
    s = raw(raw_head("/files?path=small.txt", ["Content-Type: application/octet-stream", "Content-Length: 3"]) + b"abcdefgh\r\n\r\n")
    got = b""
    try:
        while chunk := s.recv(65536):
            got += chunk
    except (ConnectionResetError, socket.timeout):
        pass
    check(got.startswith(b"HTTP/1.1 200") and b"400 Bad Request" in got or got.startswith(b"HTTP/1.1 200"), got)
    same(box.get("small.txt")[1], b"abc")
    s.close()
    # both framings at once
    s = raw(raw_head("/files?path=smuggle", ["Content-Type: application/octet-stream", "Content-Length: 3",
                                             "Transfer-Encoding: chunked"]) + b"0\r\n\r\n")
    got = s.recv(65536)
    check(b" 400 " in got.split(b"\r\n")[0], got)
    s.close()
    for extra, status in ((["Content-Length: 3", "Content-Length: 4"], b" 400 "), (["Host: other", "Content-Length: 0"], b" 400 "),
                          (["Transfer-Encoding: gzip, chunked"], b" 501 "), (["Content-Length: -1"], b" 400 ")):
        s = raw(raw_head("/files?path=odd", extra) + b"abcd")
        check(status in s.recv(65536).split(b"\r\n")[0], extra)
        s.close()
    # 100-continue, refused before the body
    s = raw(raw_head("/files?path=/etc", ["Content-Type: application/octet-stream", "Content-Length: 100000", "Expect: 100-continue"]))
    check(b" 400 " in s.recv(65536).split(b"\r\n")[0])
    s.close()


@test
def writing_through_links_and_modes():
    box.out("ln -s target.txt link.txt; echo old > target.txt; chmod 755 target.txt; ln -s /tmp/abs abs.lnk; ln -s loop loop")
    same(box.put("link.txt", b"new")[0], 200)
    same(box.out("cat target.txt; readlink link.txt; stat -c '%a %u' target.txt"),
         f"newtarget.txt\n755 {os.geteuid() or 1000 if host.rung == 3 else 1000}\n")
    if host.rung < 3:
        same(box.put("abs.lnk", b"abs")[0], 200)
        same(box.out("cat /tmp/abs"), "abs")
    same(box.put("loop", b"x")[0], 400)
    if host.rung == 1:
        same(box.put("/root/r.txt", b"x", username="root")[0], 200)
        same(box.put("byroot.txt", b"x", username="root")[0], 200)
        same(box.out("stat -c '%U %n' /root/r.txt /root/byroot.txt", user="root"), "root /root/r.txt\nroot /root/byroot.txt\n")
        same(box.out("stat -c '%U %a' ~/r"), "user 755\n")


@test
def confinement():
    outside = os.path.join(host.tmp, "secret.txt")
    open(outside, "w").write("outside")
    up = "../" * 30
    box.out(f"ln -sf {up}{outside[1:]} esc1; ln -sf {outside} esc2; ln -sfn / rootlink; mkdir -p sub; ln -sfn {up} sub/up")
    for path in ("esc1", "esc2", up + outside[1:], outside, "rootlink" + outside, "sub/up" + outside):
        s, b, _ = box.get(path)
        check(b != b"outside" and s in (400, 404), (path, s, b))
        s, b = box.rpc("Stat", {"path": path})
        check("entry" not in b or b["entry"].get("type") is None, (path, b))
    for path in ("rootlink" + outside, "sub/up" + outside, up + outside[1:]):
        s, b, _ = box.put(path, b"broken in")
        same(open(outside).read(), "outside", path)
        box.rpc("Remove", {"path": path})
        box.rpc("Move", {"source": "esc1", "destination": path})
        same(open(outside).read(), "outside", path)
    box.out(f"mkdir -p tree/sub; ln -s {host.tmp} tree/out; ln -s / tree/sub/root")
    same(box.rpc("Remove", {"path": "tree"})[0], 200)
    check(os.path.exists(outside) and box.rpc("Stat", {"path": "tree"})[0] == 404)
    s, b = box.rpc("Remove", {"path": "/"})
    check(s != 200, b)
    if host.rung < 3:  # places where something is mounted stay
        for path in ("/usr", "/dev", "/dev/null", "/proc", "/dev/shm"):
            same(box.rpc("Remove", {"path": path})[0], 500, path)
            same(box.rpc("Move", {"source": path, "destination": "/tmp/away"})[0], 500, path)
            same(box.rpc("Move", {"source": "sub", "destination": path})[0], 500, path)
        box.out("test -c /dev/null && test -x /usr/bin/env && test -d /proc/self")
        check(not os.path.exists("/tmp/made-inside"))
        box.out("touch /tmp/made-inside")
        check(not os.path.exists("/tmp/made-inside"))
        same(box.run("touch /usr/x")[2]["exitCode"], 1)
    else:
        out, err, end = box.run(f"cat {outside}; echo x > {outside}; kill -0 {host.p.pid}")
        if "Landlock" in host.json("GET", "/status")[1]["isolation"]["found"] and "no Landlock" not in host.json("GET", "/status")[1]["isolation"]["found"]:
            check(out == "" and "denied" in err, (out, err))
    os.unlink(outside)


@test
def signed_urls():
    bare = {"E2b-Sandbox-Id": box.id, "E2b-Sandbox-Port": "49983"}
    box.put("/home/user/s.txt", b"signed")

    def sign(op, user, expires=None, path="/home/user/s.txt"):
        raw_ = f"{path}:{op}:{user}:{box.token}" + (f":{expires}" if expires else "")
        sig = "v1_" + base64.b64encode(hashlib.sha256(raw_.encode()).digest()).decode().rstrip("=")
        q = {"path": path, "signature": sig}
        if user:
            q["username"] = user
        if expires:
            q["signature_expiration"] = expires
        return "/files?" + urllib.parse.urlencode(q)
    now = int(time.time())
    same(host.call("GET", sign("read", ""), headers=bare)[:2], (200, b"signed"))
    same(host.call("GET", sign("read", "user", now + 60), headers=bare)[0], 200)
    for url, text in ((sign("read", "", now - 5), "signature is already expired"), (sign("write", ""), "invalid signature"),
                      (sign("read", "").replace("s.txt", "t.txt"), "invalid signature"), ("/files?path=/x", "missing signature")):
        s, b, _ = host.json("GET", url, headers=bare)
        check(s == 401 and text in b["message"], (url, s, b))
    same(host.call("GET", sign("read", "user", now + 60))[:2], (200, b"signed"))  # found by the signature
    for url, text in ((sign("read", "", now - 5), "signature is already expired"), (sign("write", ""), "invalid signature")):
        s, b, _ = host.json("GET", url)
        check(s == 401 and text in b["message"], (url, s, b))
    same(host.call("POST", sign("write", ""), b"again", {**bare, "Content-Type": "application/octet-stream"})[0], 200)
    same(box.get("s.txt")[1], b"again")


@test
def filesystem_calls():
    s, b = box.rpc("MakeDir", {"path": "fs/a/b"})
    check(s == 200 and b["entry"]["type"] == "FILE_TYPE_DIRECTORY" and b["entry"]["path"] == "/home/user/fs/a/b", b)
    s, b = box.rpc("MakeDir", {"path": "fs/a/b"})
    check((s, b["code"]) == (409, "already_exists") and b["message"] == "directory already exists: /home/user/fs/a/b", b)
    box.put("fs/f.txt", b"12345")
    s, b = box.rpc("MakeDir", {"path": "fs/f.txt"})
    check((s, b["code"]) == (400, "invalid_argument") and "it is not a directory" in b["message"], b)
    same(box.rpc("MakeDir", {"path": "fs/f.txt/x"})[0], 400)
    s, b = box.rpc("Stat", {"path": "fs/f.txt"})
    e = b["entry"]
    check(s == 200 and e["size"] == "5" and e["mode"] == 0o644 and e["permissions"] == "-rw-r--r--" and e["name"] == "f.txt"
          and e["owner"] == e["group"] == "user" and re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", e["modifiedTime"]), e)
    s, b = box.rpc("Stat", {"path": "fs/none"})
    check((s, b["code"]) == (404, "not_found") and b["message"].startswith("file not found:"), b)
    s, b = box.rpc("Move", {"source": "fs/f.txt", "destination": "fs/new/g.txt"})
    check(s == 200 and b["entry"]["path"] == "/home/user/fs/new/g.txt", b)
    s, b = box.rpc("Move", {"source": "fs/f.txt", "destination": "fs/h"})
    check((s, b["code"]) == (404, "not_found") and b["message"].startswith("source file not found"), b)
    box.out("cd fs; ln -s new/g.txt link; ln -s nowhere dangling; mkfifo pipe; touch 'z z' $'bad\\xffname'")
    s, b = box.rpc("ListDir", {"path": "fs", "depth": 3})
    same([e["path"][len("/home/user/fs/"):] for e in b["entries"]],
         ["a", "a/b", "bad\ufffdname", "dangling", "link", "new", "new/g.txt", "pipe", "z z"])
    by = {e["name"]: e for e in b["entries"]}
    check(by["link"]["type"] == "FILE_TYPE_FILE" and by["link"]["symlinkTarget"] == "/home/user/fs/new/g.txt"
          and by["link"]["permissions"] == "Lrwxrwxrwx", by["link"])
    check("type" not in by["dangling"] and by["dangling"]["symlinkTarget"] == "/home/user/fs/dangling", by["dangling"])
    check("type" not in by["pipe"])
    same(len(box.rpc("ListDir", {"path": "fs"})[1]["entries"]), 7)
    same(box.rpc("ListDir", {"path": "fs/a/b"})[1].get("entries", []), [])
    s, b = box.rpc("ListDir", {"path": "fs/new/g.txt"})
    check((s, b["code"]) == (400, "invalid_argument") and "is not a directory" in b["message"], b)
    same(box.rpc("ListDir", {"path": "fs/none"})[1]["code"], "not_found")
    same(box.rpc("Remove", {"path": "fs"}), (200, {}))
    same(box.rpc("Remove", {"path": "fs"}), (200, {}))
    s, b = box.rpc("Stat", {"path": "x"}, user="bob")
    check((s, b["code"]) == (401, "unauthenticated") and b["message"] == "invalid username: 'bob'", b)
    same(box.rpc("Stat", {"path": ""}, user="root")[1]["entry"]["path"], "/root")


# ---- watching ----
class Watch:
    """A watcher, polled or streamed: words() tells what has come, up to `last`."""

    def __init__(self, b, path, stream, headers=None, **options):
        self.b, self.got, self.events = b, [], []
        m = {"path": path, **options}
        self.s = self.id = None
        if stream:
            self.s = Stream(b, "WatchDir", m, headers, service="filesystem.Filesystem")
            first = self.s.next()
            same(first, {"start": {}}, self.s.ended)
        else:
            st, r = b.rpc("CreateWatcher", m)
            same(st, 200, r)
            self.id = r["watcherId"]
            check(re.fullmatch("w[a-z0-9]+", self.id), r)

    def take(self):
        if self.s:
            m = self.s.next()
            check(m is not None, (self.got[-5:], self.s.ended))
            events = [m["filesystem"]] if "filesystem" in m else []
        else:
            time.sleep(0.05)
            st, r = self.b.rpc("GetWatcherEvents", {"watcherId": self.id})
            same(st, 200, r)
            events = r.get("events", [])
        self.events += events
        self.got += [f"{e['type'][11:]} {e['name']}" for e in events]

    def words(self, last):
        t = time.time()
        while last not in self.got:
            check(time.time() - t < 15, (last, self.got[-30:]))
            self.take()
        at = self.got.index(last) + 1
        out, self.got = self.got[:at], self.got[at:]
        return out

    def stop(self):
        if self.s:
            self.s.close()
        else:
            same(self.b.rpc("RemoveWatcher", {"watcherId": self.id}), (200, {}))


def watching(fn):
    def both():
        for stream in (True, False):
            box.rpc("Remove", {"path": "watch"})
            box.rpc("MakeDir", {"path": "watch/sub/deep"})
            fn(stream)
    both.__name__ = fn.__name__
    return test(both)


@watching
def watch_one_directory(stream):
    w = Watch(box, "watch", stream)
    box.out("cd watch; echo a > f; chmod 600 f; mv f g; rm g; mkdir d; : > d/unseen; : > sub/unseen; rmdir sub/deep; ln -s x l; mkfifo p; : > end")
    same(w.words("CREATE end"), ["CREATE f", "WRITE f", "CHMOD f", "RENAME f", "CREATE g", "REMOVE g", "CREATE d", "CREATE l", "CREATE p", "CREATE end"])
    # what the host does: uploads show under their own name, new or over an old file
    box.put("watch/up", b"1")
    if stream:
        same(w.words("WRITE up"), ["CREATE up", "WRITE up"])
    box.put("watch/up", b"22")
    box.rpc("Move", {"source": "watch/up", "destination": "watch/moved"})
    box.rpc("Remove", {"path": "watch/moved"})
    same(w.words("REMOVE moved"), ([] if stream else ["CREATE up"]) + ["WRITE up", "RENAME up", "CREATE moved", "REMOVE moved"])
    # odd names
    box.out("cd watch; touch 'a b' $'q\\\"\\\\\\n' ü $'bad\\xff'")
    same([x for x in w.words("CREATE bad\ufffd") if x.startswith("CREATE")], ["CREATE a b", 'CREATE q"\\\n', "CREATE ü", "CREATE bad\ufffd"])
    # the directory itself
    box.out("chmod 700 watch; rm -r watch/*; rmdir watch")
    check("CHMOD ." in (got := w.words("REMOVE .")), got)
    check("entry" not in w.events[0], w.events[0])
    w.stop()


@watching
def watch_a_tree(stream):
    w = Watch(box, "watch", stream, recursive=True)
    # new directories are followed, with what is in them by then, each told once
    box.out("cd watch; : > sub/deep/x; mkdir -p new/a/b; : > new/a/b/file; : > new/a/b/end1")
    got = w.words("CREATE new/a/b/end1")
    same(sorted(g for g in got if g.startswith("CREATE")), sorted(set(g for g in got if g.startswith("CREATE"))))
    same([g for g in got if g.startswith("CREATE")], ["CREATE sub/deep/x", "CREATE new", "CREATE new/a", "CREATE new/a/b", "CREATE new/a/b/file", "CREATE new/a/b/end1"])
    # a renamed directory keeps its place in the tree, with all below it
    box.out("cd watch; mv new sub/moved; : > sub/moved/a/b/file2; mv sub/moved/a other; mkdir other/c; : > other/c/y; : > other/b/end2")
    same([g for g in w.words("CREATE other/b/end2") if g.split()[1] not in ("other/c/y",) or g.startswith("CREATE")],
         ["RENAME new", "CREATE sub/moved", "CREATE sub/moved/a/b/file2", "RENAME sub/moved/a", "CREATE other", "CREATE other/c", "CREATE other/c/y", "CREATE other/b/end2"])
    # one that leaves is silent, one that comes is told whole
    box.out("cd watch; rm -rf ../away; mv other ../away; : > ../away/b/silent; mkdir -p ../come/in; : > ../come/in/z; mv ../come here; sleep 0.2; : > here/in/end3")
    same([g for g in w.words("CREATE here/in/end3") if not g.startswith("WRITE")],
         ["RENAME other", "CREATE here", "CREATE here/in", "CREATE here/in/z", "CREATE here/in/end3"])
    # removal of a tree, names used again
    box.out("cd watch; rm -r here; mkdir here; sleep 0.1; : > here/in; : > end4")
    got = w.words("CREATE end4")
    same([g for g in got if not g.startswith("WRITE")], ["REMOVE here/in/end3", "REMOVE here/in/z", "REMOVE here/in", "REMOVE here", "CREATE here", "CREATE here/in", "CREATE end4"]
         if got.index("REMOVE here/in/end3") < got.index("REMOVE here/in/z") else
         ["REMOVE here/in/z", "REMOVE here/in/end3", "REMOVE here/in", "REMOVE here", "CREATE here", "CREATE here/in", "CREATE end4"])
    # swapped names
    box.out("cd watch; mkdir p q; sleep 0.1; mv p t; mv q p; mv t q; : > p/inq; : > q/inp; : > end5")
    got = w.words("CREATE end5")
    check("CREATE p/inq" in got and "CREATE q/inp" in got, got)
    w.stop()
    box.rpc("Remove", {"path": "away"})


@watching
def watch_entries(stream):
    w = Watch(box, "watch", stream, recursive=True, includeEntry=True)
    box.out("cd watch; printf 123 > sub/f; chmod 640 sub/f; mv sub/f sub/g; rm sub/g; : > end")
    w.words("CREATE end")
    by = {}
    for e in w.events:
        by.setdefault(e["type"][11:] + " " + e["name"], e)
    for k, e in by.items():
        check("entry" not in e or k.split()[0] in ("CREATE", "WRITE", "CHMOD"), e)
    e = by["CREATE end"]["entry"]
    check(e["path"] == "/home/user/watch/end" and e["name"] == "end" and e["type"] == "FILE_TYPE_FILE" and e["owner"] == "user" and "size" not in e, e)
    w.stop()
    w = Watch(box, "watch", stream, include_entry=True)
    box.out("cd watch; printf 123 > h; chmod 640 h")
    w.words("CHMOD h")
    e = w.events[-1]["entry"]
    check(e["size"] == "3" and e["mode"] == 0o640, e)
    w.stop()


@watching
def watch_renames(stream):
    """A name that goes is told before the one that comes of it, whatever happens around."""
    box.out("cd watch; echo 1 > old; mkdir ../out; echo 2 > ../out/from", cwd="/home/user")
    w = Watch(box, "watch", stream, recursive=True)
    box.out("""python3 -c '
import os, ctypes
os.chdir("watch")
open("a", "w").close()
os.rename("a", "old")                    # over another
os.rename("old", "sub/deep/b")           # to another directory
os.rename("sub/deep/b", "../out/b")      # away
os.rename("../out/from", "sub/c")        # from outside
os.link("sub/c", "d")
ctypes.CDLL(None).renameat2(-100, b"d", -100, b"sub/deep", 2)
open("end", "w").close()'""")
    same([g for g in w.words("CREATE end") if g.split()[0] in ("CREATE", "RENAME", "REMOVE")],
         ["CREATE a", "RENAME a", "CREATE old", "RENAME old", "CREATE sub/deep/b", "RENAME sub/deep/b", "CREATE sub/c", "CREATE d",
          "RENAME d", "CREATE sub/deep", "RENAME sub/deep", "CREATE d", "CREATE end"])
    n = 60 if QUICK else 200
    box.out(f"""python3 -c '
import os, threading
os.chdir("watch")
def run(k):
    for i in range({n}):
        x, y = "%d.%d" % (k, i), "%d.%d.to" % (k, i)
        open(x, "w").close(); os.rename(x, y)
ts = [threading.Thread(target=run, args=(k,)) for k in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
open("end2", "w").close()'""")
    got = [g for g in w.words("CREATE end2") if not g.startswith(("WRITE", "CHMOD"))]
    at = {g: i for i, g in enumerate(got)}
    same((len(got), len(at)), (4 * n * 3 + 1,) * 2)
    for x in (f"{k}.{i}" for k in range(4) for i in range(n)):
        check(at["CREATE " + x] < at["RENAME " + x] < at[f"CREATE {x}.to"], x)
    w.stop()
    box.rpc("Remove", {"path": "out"})


@test
def watch_errors():
    box.rpc("MakeDir", {"path": "watch"})
    box.put("watch/file", b"")
    for method in ("WatchDir", "CreateWatcher"):
        def refused(message, code, text):
            if method == "WatchDir":
                s = Stream(box, method, message, service="filesystem.Filesystem")
                same((s.r.status, s.next()), (200, None))
                e = s.ended["error"]
                s.close()
            else:
                e = box.rpc(method, message)[1]
            check(e["code"] == code and text in e["message"], (method, message, e))
        refused({"path": "nope"}, "not_found", "path /home/user/nope not found")
        refused({"path": "watch/file"}, "invalid_argument", "is not a directory")
        refused({"path": "watch/file/x"}, "invalid_argument", "is not a directory")
        refused({"path": "watch", "recursive": 1}, "invalid_argument", "recursive")
        refused({"path": "~bob"}, "invalid_argument", "home directory")
    for method in ("GetWatcherEvents", "RemoveWatcher"):
        for id in ("w1", None):
            st, b = box.rpc(method, {"watcherId": id})
            same((st, b), (404, {"code": "not_found", "message": f"watcher with id {id or ''} not found"}))
    # by a link, by root, and the clocks of the stream
    box.out("ln -sfn watch wlink")
    w = Watch(box, "wlink", True, {"Keepalive-Ping-Interval": "1", "Connect-Timeout-Ms": "2500"})
    box.out("touch watch/by-link")
    w.words("CREATE by-link")
    rest = w.s.all()
    same(w.s.ended["error"]["code"], "deadline_exceeded")
    same(sum("keepalive" in e for e in rest[3]), 2)
    # too many of one sandbox
    b = host.create()
    ids = [b.rpc("CreateWatcher", {"path": "/tmp"}) for _ in range(65)]
    same([s for s, _ in ids], [200] * 64 + [429])
    check("64 watchers" in message(ids[-1]), ids[-1])
    same(b.rpc("RemoveWatcher", ids[0][1])[0], 200)
    same(b.rpc("CreateWatcher", {"path": "/tmp"})[0], 200)
    same(box.rpc("GetWatcherEvents", ids[1][1])[0], 404, "of another sandbox")
    b.kill()
    same(b.rpc("GetWatcherEvents", ids[1][1])[0], 502)


@test
def watchers_die_with_the_sandbox():
    def watches():
        n = 0
        for f in os.listdir(f"/proc/{host.p.pid}/fdinfo"):
            try:
                n += open(f"/proc/{host.p.pid}/fdinfo/{f}").read().count("inotify wd")
            except OSError:
                pass
        return n

    def wait_for(n):
        t = time.time()
        while watches() != n and time.time() - t < 5:
            time.sleep(0.05)
        same(watches(), n)
    Watch(box, "/tmp", False).stop()  # the thread is there
    wait_for(0)
    fds = host.fds()
    b = host.create()
    ws = [Watch(b, "/home", stream, recursive=True) for stream in (True, False) for _ in range(3)]
    b.out("for i in 1 2 3 4 5; do mkdir -p d$i/d/d/d; done; rm -rf d1; mv d2 ../../tmp; echo > d3/x")
    for w in ws:
        w.words("CREATE user/d3/x")
    wait_for(6 * (2 + 3 * 4))  # none of those that left or went
    t = time.time()
    same(b.kill(), 204)
    for w in ws[:3]:
        w.s.all()
        same(w.s.ended, None)
    check(time.time() - t < 3, time.time() - t)
    wait_for(0)
    for _ in range(50):
        if host.fds() <= fds + 1:
            break
        time.sleep(0.05)
    check(host.fds() <= fds + 1, (host.fds(), fds))


@test
def watch_floods():
    box.rpc("Remove", {"path": "flood"})
    box.rpc("MakeDir", {"path": "flood"})
    s, p = Watch(box, "flood", True, recursive=True), Watch(box, "flood", False, recursive=True)
    n = 200 if QUICK else 600
    box.out(f"""python3 -c '
import os
for i in range({n}):
    os.makedirs("flood/%d/x" % i)
    open("flood/%d/x/f" % i, "w").write("1")
    if i % 2: os.rename("flood/%d" % i, "flood/r%d" % i)
open("flood/end", "w").close()'""")
    for w in (s, p):
        created = [g for g in w.words("CREATE end") if g.startswith("CREATE")]
        tops = [c for c in created if "/" not in c]
        same(len(tops), n + n // 2 + 1)
        same(len(set(created)), len(created), "told twice")
        w.got = []
    # every one of them is watched under its present name
    box.out(f"""python3 -c '
for i in range({n}): open("flood/%s%d/x/g" % ("r" if i % 2 else "", i), "w").close()
open("flood/end2", "w").close()'""")
    for w in (s, p):
        made = {g for g in w.words("CREATE end2") if g.endswith("/x/g") and g.startswith("CREATE")}
        same(made ^ {f"CREATE {'r' if i % 2 else ''}{i}/x/g" for i in range(n)}, set())
    # one write after the other is one event for who asks, and a slow reader costs no memory
    box.out("cd flood; head -c 100000000 /dev/zero | dd of=big bs=4k 2>/dev/null; : > end3")
    check(len(p.words("CREATE end3")) < 1000)
    for w in (s, p):
        w.stop()
    box.rpc("Remove", {"path": "flood"})


@test
def deep_trees():
    box.out("""python3 -c '
import os
for i in range(1500):
    os.mkdir("d"); os.chdir("d")
open("f", "w").write("x")'""")
    s, b = box.rpc("ListDir", {"path": "d", "depth": 4000})
    check(s == 200 and len(b["entries"]) >= 100, s)
    same(box.rpc("Remove", {"path": "d"})[0], 200)
    same(box.rpc("Stat", {"path": "d"})[0], 404)
    box.out("mkdir -p big; cd big; for i in $(seq 1 5000); do : > f$i; done")
    t = time.time()
    s, b = box.rpc("ListDir", {"path": "big"})
    same(len(b["entries"]), 5000)
    check(time.time() - t < 2)
    box.rpc("Remove", {"path": "big"})


@test
def rpc_errors():
    for body, code in (("not json", "invalid_argument"), ("[]", "invalid_argument"), ('{"path":5}', "invalid_argument"),
                       ('{"path":"a\\u0000b"}', "invalid_argument"), ('{"path":', "invalid_argument")):
        s, b = box.rpc("Stat", body)
        same((s, b["code"]), (400, code), body)
    for path, headers, status in (("/filesystem.Filesystem/Stat", {"Content-Type": "application/proto"}, 415),
                                  ("/process.Process/Start", {"Content-Type": "application/json"}, 415),
                                  ("/filesystem.Filesystem/Nope", {"Content-Type": "application/json"}, 404),
                                  ("/no.Service/Stat", {"Content-Type": "application/json"}, 404)):
        same(box.call("POST", path, "{}", headers)[0], status, path)
    same(box.call("GET", "/filesystem.Filesystem/Stat")[0], 405)
    for bad in (b"", b"\0\0", b"\0\0\0\0\5{}", b"\0\0\0\0\2{}xx", b"\1\0\0\0\2{}", b"\0\0\0\0\3{]}", b"\0\0\0\0\2{}"):
        s = Stream(box, "Start", None, raw=bad)
        same((s.r.status, s.next()), (200, None))
        check(s.ended and s.ended["error"]["code"] in ("invalid_argument", "internal"), (bad, s.ended))
        s.close()


# ---- processes ----
@test
def commands():
    out, err, end, events = box.start("echo out; echo err >&2; exit 3").all()
    same((out, err), (b"out\n", b"err\n"))
    same(end, {"exitCode": 3, "exited": True, "status": "exit status 3", "error": "exit status 3"})
    check(events[0]["start"]["pid"] > 0)
    same(box.run("true")[2], {"exited": True, "status": "exit status 0"})
    same(box.run("kill -9 $$")[2], {"exitCode": -1, "status": "signal: killed", "error": "signal: killed"})
    same(box.run("kill -TERM $$")[2]["status"], "signal: terminated")
    same(box.out("echo $A-$HOME-$USER", envs={"A": "x y"}).split("-")[0], "x y")
    same(box.out("id -un" if host.rung < 3 else "echo $USER"), "user\n")
    same(box.out("id -u"), f"{os.geteuid() or 1000 if host.rung == 3 else 1000}\n")
    same(box.out("id -u; id -un", user="root") if host.rung < 3 else "0\nroot\n", "0\nroot\n")
    real = "" if host.rung < 3 else box.out("cd ~/../..; pwd").strip()
    same(box.out("pwd"), real + "/home/user\n")
    same(box.out("pwd", cwd="/tmp"), real + "/tmp\n")
    box.rpc("MakeDir", {"path": "w/d"})
    same(box.out("pwd", cwd="w/d"), real + "/home/user/w/d\n")
    data = bytes(range(256)) * 1000
    box.put("bin.dat", data)
    same(box.start("cat bin.dat").all()[0], data)
    same(box.start("/bin/echo", args=["a b", "c"]).all()[0], b"a b c\n")
    same(box.start("echo", args=[]).all()[0], b"\n")
    big = "x" * 100000
    same(box.out("echo -n ${#V}", envs={"V": big}), "100000")
    s, b = box.proc("List", {})
    same(b["processes"], [])


@test
def command_errors():
    def refused(code, text, **k):
        s = box.start(k.pop("cmd", "true"), **k)
        same((s.r.status, s.next()), (200, None))
        check(s.ended["error"]["code"] == code and text in s.ended["error"]["message"], s.ended)
        s.close()
    refused("invalid_argument", "cwd '/none' does not exist", cwd="/none")
    refused("invalid_argument", "cwd '/etc/passwd' does not exist", cwd="/etc/passwd")
    refused("unauthenticated", "invalid username: 'bob'", user="bob")
    refused("invalid_argument", "No such file", cmd="/no/such/program", args=[])
    refused("invalid_argument", "Permission denied", cmd="/etc/passwd", args=[])
    refused("invalid_argument", "envs", envs={"A": 1})
    for pty in ([], {"size": {"cols": 70000}}, {"size": 5}, {"size": {"rows": -1}}):
        s = Stream(box, "Start", {"process": {"cmd": "bash"}, "pty": pty})
        s.next()
        same(s.ended["error"]["code"], "invalid_argument", pty)
        s.close()
    for method, body, status, code in (("SendSignal", {"process": {"pid": 99999}, "signal": "SIGNAL_SIGKILL"}, 404, "not_found"),
                                       ("SendSignal", {"signal": "SIGNAL_SIGKILL"}, 400, "invalid_argument"),
                                       ("SendInput", {"process": {"pid": 99999}, "input": {"stdin": ""}}, 404, "not_found"),
                                       ("Update", {"process": {"pid": 99999}}, 404, "not_found")):
        s, b = box.proc(method, body)
        same((s, b["code"]), (status, code), method)
    s = Stream(box, "Connect", {"process": {"pid": 99999}})
    s.next()
    same(s.ended["error"], {"code": "not_found", "message": "process with pid 99999 not found"})
    s.close()


@test
def standard_input():
    s = box.start("cat; echo done", stdin=True)
    pid = s.next()["start"]["pid"]
    inp = lambda data: box.proc("SendInput", {"process": {"pid": pid}, "input": {"stdin": base64.b64encode(data).decode()}})
    same(inp(b"hello\n"), (200, {}))
    same(base64.b64decode(s.next()["data"]["stdout"]), b"hello\n")
    same(box.proc("SendInput", {"process": {"pid": pid}, "input": {"stdin": "!!"}})[1]["code"], "invalid_argument")
    same(inp(b"x" * 300000 + b"\n")[0], 200)
    same(box.proc("CloseStdin", {"process": {"pid": pid}}), (200, {}))
    out, _, end, _ = s.all()
    same((out[-7:], end["status"]), (b"x\ndone\n", "exit status 0"))
    s = box.start("sleep 100", stdin=False)
    pid = s.next()["start"]["pid"]
    st, b = inp(b"x")
    check(b["code"] == "internal" and b["message"].startswith("error writing to stdin"), b)
    same(box.out("wc -c < /dev/stdin"), "0\n")
    s2, b = box.proc("SendSignal", {"process": {"pid": pid}, "signal": 9})
    same(b, {})
    s.all()


def envelope(message, flags=0):
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return bytes([flags]) + struct.pack(">I", len(payload)) + payload


def b64(data):
    return base64.b64encode(data).decode()


def pty_start(cmd, args=(), cols=80, rows=24, b=None, headers=None, **more):
    s = Stream(b or box, "Start", {"process": {"cmd": cmd, "args": list(args), "envs": {"TERM": "xterm"}},
                                   "pty": {"size": {"cols": cols, "rows": rows}}, **more}, headers)
    first = s.next()
    check(first and "start" in first, (first, s.ended))
    s.pid = first["start"]["pid"]
    return s


def read_until(s, text, out=b""):
    while text not in out:
        e = s.next()
        check(e is not None, (out[-300:], s.ended))
        out += base64.b64decode(e.get("data", {}).get("pty", ""))
        check(set(e.get("data", {})) <= {"pty"}, e)
    return out


def type_in(pid, data, b=None):
    return (b or box).proc("SendInput", {"process": {"pid": pid}, "input": {"pty": b64(data)}})


@test
def terminals():
    s = pty_start("/bin/bash", ["--norc", "--noediting", "-i"], 123, 45)
    same(type_in(s.pid, b"PS1=; tty; stty size; ps -o tty= -p $$; [ -t 0 -a -t 2 ] && echo terminal; echo e >&2; echo 1st\n"), (200, {}))
    out = read_until(s, b"\n1st")
    check(b"45 123" in out and b"\nterminal" in out and b"\ne\r\n" in out, out)
    check(host.rung == 3 or b"/dev/pts/" in out, out)
    if host.rung < 3:
        same(box.out("stat -c %U /dev/pts/[0-9]*"), "user\n")
    # a resize reaches the program on it
    type_in(s.pid, b"trap 'stty size; echo win' WINCH; echo ready\n")
    read_until(s, b"\nready")
    same(box.proc("Update", {"process": {"pid": s.pid}, "pty": {"size": {"cols": 99, "rows": 7}}}), (200, {}))
    type_in(s.pid, b"\n")
    check(b"7 99" in read_until(s, b"\nwin"))
    same(box.proc("Update", {"process": {"pid": s.pid}}), (200, {}))
    # job control and its keys
    type_in(s.pid, b"sleep 1000\n")
    time.sleep(0.3)
    type_in(s.pid, b"\x03")
    type_in(s.pid, b"echo code $?\n")
    read_until(s, b"\ncode 130")
    # two readers, the second by tag or pid; both see the end
    other = Stream(box, "Connect", {"process": {"pid": s.pid}})
    same(other.next(), {"start": {"pid": s.pid}})
    type_in(s.pid, b"echo both\n")
    for x in (s, other):
        read_until(x, b"\nboth")
    same(box.proc("CloseStdin", {"process": {"pid": s.pid}})[1]["code"], "internal")
    st, b = box.proc("SendInput", {"process": {"pid": s.pid}, "input": {"stdin": b64(b"x")}})
    check(b["code"] == "internal" and b["message"].startswith("error writing to stdin: "), b)
    type_in(s.pid, b"exit 7\n")
    for x in (s, other):
        same(x.all()[2]["exitCode"], 7)
    again = Stream(box, "Connect", {"process": {"pid": s.pid}}).all()
    same((again[2]["exitCode"], len(again[3])), (7, 2))
    check(type_in(s.pid, b"x")[1]["message"].startswith("error writing to tty: "))
    check(box.proc("Update", {"process": {"pid": s.pid}, "pty": {}})[0] == 500)
    # no terminal: resize and typing are refused
    s = box.start("sleep 100", stdin=True)
    pid = s.next()["start"]["pid"]
    same(box.proc("Update", {"process": {"pid": pid}, "pty": {"size": {"cols": 1, "rows": 1}}})[1]["message"],
         "error resizing tty: tty not assigned to process")
    same(type_in(pid, b"x")[1]["message"], "error writing to tty: tty not assigned to process")
    box.proc("SendSignal", {"process": {"pid": pid}, "signal": 9})
    s.all()


@test
def terminals_end():
    # a child that holds the terminal open does not hold the end back
    s = pty_start("/bin/bash", ["-c", "setsid sleep 100 & sleep 0.1; seq 1 100000; exit 3"], tag="a-tty")
    same(Stream(box, "Connect", {"process": {"tag": "a-tty"}}).next(), {"start": {"pid": s.pid}})
    t = time.time()
    out, _, end, _ = s.all()
    same((out.split(b"\r\n")[-2], out.count(b"\n"), end["exitCode"]), (b"100000", 100000, 3))
    check(time.time() - t < 30, time.time() - t)
    for sig, name in ((9, "killed"), (15, "terminated")):
        s = pty_start("/bin/sleep", ["1000"])
        same(box.proc("SendSignal", {"process": {"pid": s.pid}, "signal": sig})[0], 200)
        same(s.all()[2]["status"], "signal: " + name)
    # reader gone, process goes on; SIGHUP comes when the leader ends
    s = pty_start("/bin/bash", ["-c", "sleep 1; echo late; read x; echo got $x"])
    s.close()
    c = Stream(box, "Connect", {"process": {"pid": s.pid}})
    c.next()
    type_in(s.pid, b"it\n")
    check(b"got it" in c.all()[0])
    s = pty_start("/bin/sleep", ["1000"], headers={"Connect-Timeout-Ms": "400"})
    same((s.all()[2], s.ended["error"]["code"]), (None, "deadline_exceeded"))
    # a slow reader stops the terminal, nothing is lost
    s = pty_start("/bin/bash", ["-c", "stty -opost; head -c 3000000 /dev/zero | tr '\\0' x"])
    time.sleep(1)
    same(len(s.all()[0]), 3000000)
    same(box.proc("List", {})[1]["processes"], [])


@test
def streamed_input():
    def stream(messages, headers=None):
        return Stream(box, "StreamInput", None, headers, raw=messages)

    def ended(s):
        first, _ = s.next(), s.next() if s.ended is None else None
        s.close()
        return first, s.ended
    data = os.urandom(10 << 20)
    p = box.start("sha256sum; echo end", stdin=True)
    pid = p.next()["start"]["pid"]

    def messages():
        yield envelope({"start": {"process": {"pid": pid}}})
        for at in range(0, len(data), 100000):
            yield envelope({"data": {"input": {"stdin": b64(data[at:at + 100000])}}})
            yield envelope({"keepalive": {}})
    same(ended(stream(messages())), ({}, {}))
    # one read with several messages, one message in several reads, an empty one
    more = envelope({"start": {"process": {"pid": pid}}}) + envelope({"data": {"input": {"stdin": ""}}})
    same(ended(stream(more)), ({}, {}))
    same(ended(stream(iter(bytes([c]) for c in more))), ({}, {}))
    same(box.proc("CloseStdin", {"process": {"pid": pid}}), (200, {}))
    same(p.all()[0].decode(), hashlib.sha256(data).hexdigest() + "  -\nend\n")
    for raw_, code, text in (
            (envelope({"start": {"process": {"pid": 99999}}}), "not_found", "process with pid 99999 not found"),
            (envelope({"data": {"input": {"stdin": ""}}}), "invalid_argument", "must be start"),
            (b"", "invalid_argument", "must be start"), (envelope({})[:3], "invalid_argument", "incomplete envelope"),
            (envelope({}, 1), "internal", "compressed"), (envelope(b"{]"), "invalid_argument", "unmarshal"),
            (envelope(b""), "invalid_argument", "unmarshal"), (b"\0\x7f\0\0\0", "resource_exhausted", "larger than")):
        first, end = ended(stream(raw_))
        check(first is None and end["error"]["code"] == code and text in end["error"]["message"], (raw_, end))
    # a terminal, and an input that was closed meanwhile
    s = pty_start("/bin/bash", ["-c", "read a; echo [$a]"])
    same(ended(stream(envelope({"start": {"process": {"pid": s.pid}}}) + envelope({"data": {"input": {"pty": b64(b"typed\n")}}}))), ({}, {}))
    check(b"[typed]" in s.all()[0])
    same(ended(stream(envelope({"start": {"process": {"pid": s.pid}}}) + envelope({"data": {"input": {"pty": "eA=="}}})))[1]["error"]["code"], "internal")
    # a client that leaves takes nothing with it; one that is silent is cut
    p = box.start("cat", stdin=True)
    pid = p.next()["start"]["pid"]
    c = raw(raw_head("/process.Process/StreamInput", ["Content-Type: application/connect+json", "Transfer-Encoding: chunked", "Connect-Timeout-Ms: 1000"])
            + b"%x\r\n%s\r\n" % (len(envelope({"start": {"process": {"pid": pid}}})), envelope({"start": {"process": {"pid": pid}}})))
    t = time.time()
    same(c.recv(100), b"")
    check(0.8 < time.time() - t < 4, time.time() - t)
    c.close()
    type_ = {"process": {"pid": pid}, "input": {"stdin": b64(b"alive\n")}}
    same(box.proc("SendInput", type_), (200, {}))
    same(base64.b64decode(p.next()["data"]["stdout"]), b"alive\n")
    # a process that does not read holds the client, and its death frees it
    box.proc("SendSignal", {"process": {"pid": pid}, "signal": 9})
    p.all()
    p = box.start("sleep 1", stdin=True)
    pid = p.next()["start"]["pid"]
    first, end = ended(stream(iter([envelope({"start": {"process": {"pid": pid}}})] +
                                   [envelope({"data": {"input": {"stdin": b64(b"x" * 90000)}}})] * 4)))
    check(first is None and end["error"]["message"].startswith("error writing to stdin: "), end)
    p.all()
    # and so where a child that does not read has it open
    p = box.start("exec 3<&0; sleep 30 <&3 & sleep 20", stdin=True)
    pid = p.next()["start"]["pid"]
    threading.Timer(1, lambda: box.proc("SendSignal", {"process": {"pid": pid}, "signal": 9})).start()
    t = time.time()
    s, m = box.proc("SendInput", {"process": {"pid": pid}, "input": {"stdin": b64(b"x" * 900000)}})
    check(s == 500 and m["message"].startswith("error writing to stdin: ") and time.time() - t < 25, (s, m, time.time() - t))
    p.all()


@test
def stream_clock_and_output():
    p = box.start("yes")
    pid = p.next()["start"]["pid"]
    c = Stream(box, "Connect", {"process": {"pid": pid}}, {"Connect-Timeout-Ms": "500"})
    t = time.time()
    threading.Thread(target=p.all).start()
    c.all()
    check(time.time() - t < 5 and c.ended["error"]["code"] == "deadline_exceeded", c.ended)
    box.proc("SendSignal", {"process": {"pid": pid}, "signal": 9})


@test
def kill_list_connect():
    s = box.start("trap 'echo bye; exit 5' TERM; echo up; sleep 100 & wait", envs={"E": "1"})
    pid = s.next()["start"]["pid"]
    same(base64.b64decode(s.next()["data"]["stdout"]), b"up\n")
    s3, b = box.proc("List", {})
    same([(p["pid"], p["config"]["cmd"], p["config"]["envs"]) for p in b["processes"]], [(pid, "/bin/bash", {"E": "1"})])
    other = Stream(box, "Connect", {"process": {"pid": pid}})
    same(other.next(), {"start": {"pid": pid}})
    same(box.proc("SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGTERM"}), (200, {}))
    for x in (s, other):
        out, _, end, _ = x.all()
        same((out, end["exitCode"]), (b"bye\n", 5))
    again = Stream(box, "Connect", {"process": {"pid": pid}}).all()
    same((again[2]["exitCode"], len(again[3])), (5, 2))
    same(box.proc("SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGTERM"})[1]["code"], "not_found")
    s = box.start("sleep 100 & sleep 100")
    pid = s.next()["start"]["pid"]
    t = time.time()
    same(box.proc("SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"})[0], 200)
    same(s.all()[2]["status"], "signal: killed")
    check(time.time() - t < 2)
    m = {"process": {"cmd": "/bin/sleep", "args": ["50"]}, "tag": "the-tag", "stdin": False}
    s = Stream(box, "Start", m)
    pid = s.next()["start"]["pid"]
    same(Stream(box, "Connect", {"process": {"tag": "the-tag"}}).next()["start"]["pid"], pid)
    same(box.proc("SendSignal", {"process": {"tag": "the-tag"}, "signal": "SIGNAL_SIGKILL"})[0], 200)
    s.all()


@test
def deadlines_and_keepalive():
    t = time.time()
    s = box.start("echo before; sleep 100", headers={"Connect-Timeout-Ms": "700"})
    out, _, end, _ = s.all()
    check(0.6 < time.time() - t < 2 and out == b"before\n" and end is None, (out, end))
    same(s.ended, {"error": {"code": "deadline_exceeded", "message": "context deadline exceeded"}})
    time.sleep(0.2)
    same(box.proc("List", {})[1]["processes"], [])
    s = box.start("sleep 4", headers={"Keepalive-Ping-Interval": "1"})
    events = s.all()[3]
    check(sum("keepalive" in e for e in events) in (3, 4), events)
    s = box.start("sleep 3; echo late")
    pid = s.next()["start"]["pid"]
    c = Stream(box, "Connect", {"process": {"pid": pid}}, {"Connect-Timeout-Ms": "300"})
    c.all()
    same(c.ended["error"]["code"], "deadline_exceeded")
    same(s.all()[0], b"late\n")
    s = box.start("true", headers={"Connect-Timeout-Ms": "soon"})
    s.next()
    same(s.ended["error"]["code"], "invalid_argument")
    s.close()


@test
def client_leaves():
    before = host.fds()
    s = box.start("for i in $(seq 1 30); do echo $i; sleep 0.1; done; echo survived > left.txt")
    pid = s.next()["start"]["pid"]
    s.c.sock and s.c.sock.close()
    s.close()
    time.sleep(0.5)
    same([p["pid"] for p in box.proc("List", {})[1]["processes"]], [pid])
    c = Stream(box, "Connect", {"process": {"pid": pid}})
    out = c.all()[0]
    check(out.endswith(b"30\n") and not out.startswith(b"1\n2\n"), out)
    same(box.get("left.txt")[1], b"survived\n")
    box.start("yes").close()
    time.sleep(0.3)
    pid = box.proc("List", {})[1]["processes"][0]["pid"]
    same(box.proc("SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"})[0], 200)
    for _ in range(40):
        if host.fds() <= before + 1:
            break
        time.sleep(0.1)
    check(host.fds() <= before + 1, (host.fds(), before))


@test
def slow_client_stops_the_process():
    s = box.start("yes | head -c 200000000 | tee /dev/null | cat; echo x >&2")
    s.next()
    time.sleep(1.0)
    rss = host.rss_kib()
    box.out("true")
    time.sleep(1.0)
    check(host.rss_kib() < rss + 2000, "memory grows while the client sleeps")
    got = sum(len(base64.b64decode(e.get("data", {}).get("stdout", ""))) for e in iter(s.next, None))
    same(got, 200000000)
    s.close()


@test
def a_gigabyte_of_output():
    total = (64 if QUICK else 1024) << 20
    s = box.start(f"head -c {total} /dev/zero")
    s.next()
    rss, peak, raw_bytes = host.rss_kib(), 0, 0
    t = time.time()
    while True:
        head = s.r.read(5)
        if head[0] & 2:
            break
        m = s.r.read(struct.unpack(">I", head[1:])[0])
        if m.startswith(b'{"event":{"data":{"stdout":"'):
            b64 = len(m) - len(b'{"event":{"data":{"stdout":""}}}')
            raw_bytes += b64 // 4 * 3 - m[-6:].count(b"=")
        peak = max(peak, host.rss_kib()) if raw_bytes % 97 == 0 else peak
    s.close()
    same(raw_bytes, total)
    check(SANITIZED or max(peak, host.rss_kib()) < rss + 2048, (rss, peak, host.rss_kib()))
    print(f"      {total >> 20} MiB of stdout in {time.time() - t:.1f} s, host memory {rss} -> {host.rss_kib()} KiB")


@test
def a_big_file():
    size = (64 if QUICK else 512) << 20
    piece = os.urandom(1 << 20)
    rss = host.rss_kib()
    c = host.connection()
    c.putrequest("POST", "/files?path=big.bin")
    for k, v in dict(box.headers, **{"Content-Type": "application/octet-stream", "Content-Length": str(size)}).items():
        c.putheader(k, v)
    c.endheaders()
    want = hashlib.sha256()
    for _ in range(size >> 20):
        c.send(piece)
        want.update(piece)
    same(c.getresponse().status, 200)
    c.close()
    c = host.connection()
    c.request("GET", "/files?path=big.bin", headers=box.headers)
    r, got = c.getresponse(), hashlib.sha256()
    while chunk := r.read(1 << 20):
        got.update(chunk)
    same(got.hexdigest(), want.hexdigest())
    check(host.rss_kib() < rss + 2048, (rss, host.rss_kib()))
    box.rpc("Remove", {"path": "big.bin"})


@test
def death_in_the_middle():
    b = host.create()
    streams = [b.start("echo go; sleep 100 & sleep 100") for _ in range(3)]
    for s in streams:
        s.next()
    up = raw(("POST /files?path=u HTTP/1.1\r\nHost: x\r\n" + "".join(f"{k}: {v}\r\n" for k, v in b.headers.items()) +
              "Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n").encode() + b"x" * 1000)
    t = time.time()
    same(b.kill(), 204)
    check(time.time() - t < 2, time.time() - t)
    for s in streams:
        s.all()
        same(s.ended, None, "a killed sandbox cuts its streams")
    up.sendall(b"x" * 999000)
    check(b" 502 " in up.recv(1000).split(b"\r\n")[0])
    up.close()
    same(b.proc("List", {})[0], 502)
    check(b.id not in os.listdir(host.state() + "/boxes"))


@test
def whole_tree_dies():
    b = host.create()
    mark = "7" + str(int.from_bytes(os.urandom(3), "big"))
    b.out(f"setsid sleep {mark} >/dev/null 2>&1 & (setsid bash -c '(sleep {mark}; true) & disown; sleep {mark}' >/dev/null 2>&1 &) ; nohup sleep {mark} >/dev/null 2>&1 & sleep 0.3")

    def alive():
        n = 0
        for p in filter(str.isdigit, os.listdir("/proc")):
            try:
                n += f"sleep\0{mark}\0" in open(f"/proc/{p}/cmdline").read()
            except OSError:
                pass
        return n
    check(alive() >= 3, alive())
    b.kill()
    same(alive(), 0)


@test
def no_internet():
    b = host.create(allow_internet_access=False)
    py = f"import socket; socket.create_connection(('127.0.0.1', {host.port}), 2)"
    check(b.run(f'python3 -c "{py}"')[2].get("exitCode") == 1)
    i = host.json("GET", "/sandboxes/" + b.id)[1]
    same(i["allowInternetAccess"], False)
    if host.rung < 3:
        b.out("python3 -c \"import socket; s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(); socket.create_connection(s.getsockname(),2)\"")
    b.kill()
    check(box.run(f'python3 -c "{py}"')[2].get("exitCode", 0) == 0)


def children_of(parent):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[1] == str(parent):
                    found.append(pid)
        except OSError:
            pass
    return found


def all_command_lines():
    lines = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                lines.append(f.read().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass
    return "\n".join(lines)


@test
def real_work():
    box.put("hello.c", b'#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n')
    if "cc" not in box.out("command -v cc || true"):
        raise Skip("no cc on this system")
    same(box.out("cc -o hello hello.c && ./hello"), "compiled\n")
    same(box.out("python3 -c 'import ssl, json; print(6*7)'"), "42\n")
    if "git" in box.out("command -v git || true"):
        same(box.out("git init -q repo 2>/dev/null && cd repo && git -c user.name=a -c user.email=b commit -q --allow-empty -m x && git log --oneline | wc -l").strip(), "1")
    same(box.out("printf 'all:\\n\\t@echo made\\n' > Makefile && make"), "made\n")
    check("PRIVATE" not in box.out("ls -la /etc/ssl; cat /proc/1/cmdline | tr '\\0' ' '"))
    check("--port" not in box.out("cat /proc/[0-9]*/cmdline | tr '\\0' ' '") if host.rung < 3 else True)


# ---- hosts of their own ----
def descendants(pid):
    parents = {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(p)] = int(open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    found, last = {pid}, 0
    while len(found) != last:
        last = len(found)
        found |= {p for p, parent in parents.items() if parent in found}
    return found - {pid}


def name_of(pid):
    try:
        return open(f"/proc/{pid}/comm").read().strip()
    except OSError:
        return ""


@test
def many_at_once():
    n = 40 if QUICK else 200
    h = Host("--log-level", "error")
    try:
        boxes, lock = [], threading.Lock()

        def make():
            for _ in range(n // 8):
                b = h.create(timeout=600)
                with lock:
                    boxes.append(b)
        t = time.time()
        ts = [threading.Thread(target=make) for _ in range(8)]
        [x.start() for x in ts]
        [x.join() for x in ts]
        made = time.time() - t
        same(len(boxes), n)
        for _ in range(100):  # threads of closed connections end
            idle = h.threads()
            if idle <= 5:
                break
            time.sleep(0.05)
        check(SANITIZED or idle <= 5, f"{idle} threads with {n} idle sandboxes")
        for limit in (("", "100", "101", "1000") if n > 100 else ()):  # more than a page may hold
            seen, token = [], ""
            while token is not None:
                s, page, head = h.json("GET", f"/v2/sandboxes?limit={limit}" + (f"&nextToken={token}" if token else ""))
                same((s, len(page), head["X-Total-Running"]), (200, min(100, n - len(seen)), str(n)))
                seen += [e["sandboxID"] for e in page]
                token = head.get("X-Next-Token")
            same(sorted(seen), sorted(b.id for b in boxes))
        streams = [b.start("echo $E2B_SANDBOX_ID; read x", stdin=True) for b in boxes]
        for b, s in zip(boxes, streams):
            s.next()
            same(base64.b64decode(s.next()["data"]["stdout"]).decode().strip(), b.id)
        print(f"      {n} sandboxes in {made * 1000 / n:.1f} ms each, {n} open streams: {h.rss_kib()} KiB")
        for b in boxes:
            same(b.kill(), 204)
        for s in streams:
            s.all()
            same(s.ended, None)
        time.sleep(0.3)
        check(h.threads() <= 5 + SANITIZED and os.listdir(h.state() + "/boxes") == [], h.threads())
    finally:
        same(h.stop(), [])


@test
def a_thousand_leave_nothing():
    n = 100 if QUICK else 1000
    h = Host("--log-level", "error")

    def groups():
        return sum(len(d) for at, d, _ in os.walk("/sys/fs/cgroup") if at.endswith(f"/sandboxd-{h.p.pid}"))

    def everything():
        return (h.fds(), h.threads(), os.listdir(h.state() + "/boxes"), groups(),
                sum("sandboxd" in m for m in open("/proc/self/mountinfo")), len(descendants(h.p.pid)))
    try:
        for _ in range(300): # memory that is kept for the next
            h.create().kill()
        time.sleep(0.5)
        before, rss = everything(), [h.rss_kib()]
        t = time.time()
        for i in range(n):
            b = h.create()
            if i % 10 == 0:
                b.out("echo x > y")
            same(b.kill(), 204)
            if i % (n // 4) == n // 4 - 1:
                rss.append(h.rss_kib())
        spent = time.time() - t
        time.sleep(0.5)
        after = everything()
        same(after, before, "descriptors, threads, directories, groups, mounts, processes")
        same(after[2:], ([], 0, 0, 1))
        # what leaks grows every time; heaps of threads do now and then
        check(SANITIZED or min(b - a for a, b in zip(rss, rss[1:])) < 125, rss)
        print(f"      create + kill: {spent * 1000 / n:.1f} ms; memory {rss[0]} -> {rss[-1]} KiB")
    finally:
        same(h.stop(), [])


@test
def limits():
    h = Host("--max-sandboxes", "2", "--memory-mib", "256", "--max-procs", "50", "--disk-mib", "8")
    try:
        a, b = h.create(), h.create()
        s, e, _ = h.json("POST", "/v2/sandboxes", {"templateID": "base"})
        check(s == 429 and "2" in e["message"], e)
        b.kill()
        out, err, end = a.run("python3 -c 'x = bytearray(600 << 20)'")
        check(end.get("exitCode"), end)
        if h.rung < 3:
            out, err, end = a.run("for i in $(seq 1 100); do sleep 5 & done; wait")
            check("fork" in err, err[:200])
        if h.rung < 3:
            big = b"x" * (12 << 20)
            s, body, _ = a.put("big", big)
            check(s == 507 and b"attempted to write 12582912 bytes: not enough disk space available" in body, body)
            same(a.leftovers(), [])
            s, body, _ = a.call("POST", "/files", multipart([("file", "m1", b"1"), ("file", "m2", big)]), MULTI)
            check(s == 507 and b"not enough disk space available" in body, body)
            same((a.get("m1")[0], a.leftovers()), (404, []))
            same(a.put("small", b"x" * (1 << 20))[0], 200)
            s, body, _ = a.call("POST", "/files?path=bomb", gzip.compress(bytes(64 << 20)), {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"})
            check(s == 507 and a.get("bomb")[0] == 404, body)
            a.put("part", b"x" * (3 << 20))
            s, body, _ = a.call("POST", "/files/compose", {"source_paths": ["part"] * 3, "destination": "whole"})
            check(s == 507 and b"not enough disk space" in body and a.get("whole")[0] == 404 and a.get("part")[0] == 200 and a.leftovers() == [], body)
            check("No space" in a.run("cat /dev/zero > fill")[1])
        a.kill()
    finally:
        same(h.stop(), [])


@test
def tls():
    d = tempfile.mkdtemp()
    cert, key = d + "/c.pem", d + "/k.pem"
    if not shutil.which("openssl") or subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
            capture_output=True).returncode:
        raise Skip("no openssl to make a certificate")
    h = Host("--tls-cert", cert, "--tls-key", key, tls=ssl.create_default_context(cafile=cert))
    try:
        b = h.create()
        same(b.out("echo secure"), "secure\n")
        data = os.urandom(5 << 20)
        same((b.put("f", data)[0], b.get("f")[1]), (200, data))
        s = b.start("sleep 100")
        s.next()
        same(b.kill(), 204)
        s.all()
        same(s.ended, None)
    finally:
        same(h.stop(), [])
        shutil.rmtree(d)
    p = subprocess.run([SANDBOXD, "--tls-cert", "/etc/passwd", "--tls-key", "/etc/passwd"], capture_output=True, timeout=30)
    check(p.returncode == 1 and b"certificate" in p.stderr, p)


@test
def ends():
    # SIGINT ends everything
    h = Host()
    b = h.create()
    s = b.start("sleep 1000 & echo x; sleep 1000")
    s.next()
    same(h.stop(signal.SIGINT), [])
    same((h.p.returncode, s.all()[2], s.ended), (0, None, None))
    # SIGKILL: the helper process cleans up
    h = Host()
    b = h.create()
    mark = "8" + str(int.from_bytes(os.urandom(3), "big"))
    s = b.start(f"sleep {mark}")
    s.next()
    same(h.stop(signal.SIGKILL), [])
    check(mark not in all_command_lines())
    # both killed: the next host finds what is left
    state = tempfile.mkdtemp(prefix="hostcheck-")
    h = Host("--state", state)
    b = h.create()
    b.put("x", b"x")
    helper = children_of(h.p.pid)
    for sig, pids in ((signal.SIGSTOP, helper), (signal.SIGKILL, [h.p.pid]), (signal.SIGKILL, helper)):
        for p in pids:
            os.kill(int(p), sig)  # the helper gets no chance to clean up
    h.p.wait()
    h.p.stdout.close()
    time.sleep(0.5)
    check(os.listdir(state + "/boxes") == [b.id])
    h2 = Host("--state", state)
    same(os.listdir(state + "/boxes"), [])
    same(h2.create().kill(), 204)
    p = subprocess.run([SANDBOXD, "--state", state, "--port", "0"], capture_output=True, text=True, timeout=30)
    check(p.returncode == 1 and "in use" in p.stderr, p)
    h2.stop()
    same(os.listdir(state), [])
    open(state + "/mine.txt", "w").close()
    p = subprocess.run([SANDBOXD, "--state", state, "--port", "0"], capture_output=True, text=True, timeout=30)
    check(p.returncode == 1 and "empty directory" in p.stderr, p)
    shutil.rmtree(state)
    shutil.rmtree(h.tmp)


@test
def options():
    run = lambda *a: subprocess.run([SANDBOXD, *a], capture_output=True, text=True, timeout=30)
    check(run("--help").returncode == 0 and KEY in run("--help").stdout)
    check(re.match(r"sandboxd \d+\.\d+", run("--version").stdout))
    for args, text in ((["--nope", "1"], "not an option"), (["--port", "x"], "not a number"), (["--port"], "missing"),
                       (["--bind", "nowhere"], "not an address"), (["--image", "x=/no/dir"], "/no/dir"),
                       (["--tls-cert", "/etc/passwd"], "belong together"), (["--port", str(host.port)], "cannot listen")):
        p = run(*args)
        check(p.returncode == 1 and text in p.stderr, (args, p.stderr))
    d = tempfile.mkdtemp()
    h = Host("--api-key", "my-own-secret-key", "--ready-file", d + "/ready", "--log-level", "debug", user_key="my-own-secret-key")
    try:
        for _ in range(100):
            if os.path.exists(d + "/ready"):
                break
            time.sleep(0.02)
        same(open(d + "/ready").read(), f"http://127.0.0.1:{h.port}\n")
        b = h.create()
        b.out("echo x; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
        check("my-own" not in b.out("cat /proc/1/cmdline 2>/dev/null | tr '\\0' ' '"))
        b.call("GET", "/files?path=x&signature=v1_secretsignature")
        b.kill()
        log = h.log_text()
        check("POST   /v2/sandboxes 201" in log and b.id in log, log)
        for secret in ("my-own-secret-key", b.token, "secretsignature"):
            check(secret not in log, secret)
    finally:
        same(h.stop(), [])
        shutil.rmtree(d)


@test
def environment_of_the_host():
    """Nothing of it is in any process that a sandbox can look at."""
    if host.rung == 3:
        raise Skip("rung 3 sees this machine's processes")
    h = Host(env={"HOST_SECRET": "geheim-0815"})
    try:
        b = h.create()
        for user in ("user", "root"):
            same(b.run("grep -l geheim-0815 /proc/*/environ /proc/*/task/*/environ", user=user)[0], "")
            for who in ("self", "thread-self", "1"):
                check(b"geheim" not in b.get(f"/proc/{who}/environ", username=user)[1], (user, who))
        same(b.kill(), 204)
        with open(f"/proc/{h.p.pid}/task/{h.p.pid}/children") as f:
            zygote = f.read().split()[0]
        with open(f"/proc/{zygote}/environ", "rb") as f:
            same(f.read().strip(b"\0"), b"")
    finally:
        same(h.stop(), [])


@test
def images():
    if host.rung == 3:
        raise Skip("rung 3 has no images")
    d = tempfile.mkdtemp(prefix="hostcheck-img-")
    os.chmod(d, 0o755)
    need = {"/bin/bash", "/bin/cat"}
    for p in list(need):
        need |= set(re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", p], capture_output=True, text=True).stdout))
    for p in need:
        os.makedirs(d + os.path.dirname(p), exist_ok=True)
        shutil.copy(os.path.realpath(p), d + p)
    os.makedirs(d + "/etc", exist_ok=True)
    open(d + "/etc/passwd", "w").write("root:x:0:0::/root:/bin/bash\nextra:x:1234:1234::/home/extra:/bin/bash")
    open(d + "/only-here", "w").write("from the image\n")
    h = Host("--image", f"mini:1={d}")
    try:
        for name in ("mini:1", h.json("GET", "/status")[1]["templates"][1]):
            s, b, _ = h.json("POST", "/v2/sandboxes", {"templateID": name})
            same(s, 201, b)
            x = Box(h, b["sandboxID"], b["envdAccessToken"])
            same(x.out("cat /only-here; pwd; cd /; echo *").split("\n")[:2], ["from the image", "/home/user"])
            same(x.put("f", b"1")[0], 200)
            same(x.rpc("Stat", {"path": "/only-here"})[0], 200)
            x.kill()
        s, b, _ = h.json("POST", "/v2/sandboxes", {"templateID": "other"})
        check(s == 404 and "base, mini:1" in b["message"], b)
    finally:
        same(h.stop(), [])
        shutil.rmtree(d)


def main():
    global host, box, passed, failed, skipped
    host = Host("--log-level", "debug")
    box = host.create(timeout=3600)
    print(f"sandboxd on rung {host.rung}, as uid {os.geteuid()}")
    for fn in TESTS:
        if FILTER and FILTER not in fn.__name__:
            continue
        try:
            t = time.time()
            fn()
            passed += 1
            print(f"ok    {fn.__name__} ({time.time() - t:.1f} s)")
        except Skip as why:
            skipped += 1
            print(f"skip  {fn.__name__}: {why}")
        except Exception as e:
            failed += 1
            at, line = e.__traceback__, 0
            while at:
                if at.tb_frame.f_code is getattr(fn, "inner", fn).__code__:
                    line = at.tb_lineno
                at = at.tb_next
            print(f"FAIL  {fn.__name__}: line {line}: {type(e).__name__}: {str(e)[:600]}")
        sys.stdout.flush()
    left = host.stop()
    if left:
        failed += 1
        print("FAIL  the host left", *left)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
