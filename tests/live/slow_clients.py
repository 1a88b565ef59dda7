#!/usr/bin/env python3
"""slow_clients.py URL KEY [N]: N (1,000) connections that a host holds open for slow
clients, half of them in the middle of a request's head, the rest in the middle of a
body or not reading a long answer, must not stop the others. The last line is
`N passed, N failed, N skipped`.
"""
import http.client, json, os, resource, socket, struct, sys, time, urllib.parse

url = urllib.parse.urlsplit(sys.argv[1] if len(sys.argv) > 1 else os.environ["E2B_API_URL"])
key = sys.argv[2] if len(sys.argv) > 2 else os.environ["E2B_API_KEY"]
N = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
want = N + 100
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
if hard != resource.RLIM_INFINITY and hard < want or url.scheme != "http":
    print("skipped:", f"only {hard} descriptors" if url.scheme == "http" else "needs a plain host")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(want, 4096) if hard > 4096 else hard, hard))


def call(method, path, body=None, headers=None, timeout=20):
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)
    h = {"X-API-Key": key, **(headers or {})}
    c.request(method, path, json.dumps(body) if body is not None else None, h)
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, data


def envelope(message):
    data = json.dumps(message).encode()
    return b"\0" + struct.pack(">I", len(data)) + data


status, made = call("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 600})
assert status == 201, made
made = json.loads(made)
route = {"E2b-Sandbox-Id": made["sandboxID"], "E2b-Sandbox-Port": "49983",
         "X-Access-Token": made["envdAccessToken"]}
lines = "".join(f"{k}: {v}\r\n" for k, v in route.items())
flood = envelope({"process": {"cmd": "/bin/bash", "args": ["-c", "yes"]}})
kinds = [
    f"POST /v2/sandboxes HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-".encode(),
    f"POST /files?path=slow HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 100000\r\n\r\n".encode() + b"x" * 50,
    f"GET / HTTP/1.1\r\nHo".encode(),
    f"POST /process.Process/Start HTTP/1.1\r\nHost: x\r\n{lines}Content-Type: application/connect+json\r\n"
    f"Content-Length: {len(flood)}\r\n\r\n".encode() + flood,
]
held = []
for i in range(N):
    # few that flood: each is a process of the sandbox
    kind = kinds[3] if i % 100 == 99 else kinds[i % 3]
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(20)
    s.connect((url.hostname, url.port))
    s.sendall(kind)
    held.append(s)
slowest, failed = 0, 0
run = envelope({"process": {"cmd": "/bin/bash", "args": ["-c", "echo well"]}})
for i in range(30):
    at = time.time()
    status, listed = call("GET", "/v2/sandboxes?limit=1")
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
    c.request("POST", "/process.Process/Start", run, dict(route, **{"Content-Type": "application/connect+json"}))
    out = c.getresponse().read()
    c.close()
    slowest = max(slowest, time.time() - at)
    failed += status != 200 or b"d2VsbAo=" not in out
for n, s in enumerate(held):
    s.settimeout(0.2)
    if n % 100 != 99:
        try:  # none was thrown out to make room
            failed += s.recv(1) == b""
        except socket.timeout:
            pass
        except OSError:
            failed += 1
    if n == 60:
        break
status, made = call("POST", "/v2/sandboxes", {"templateID": "base"})
failed += status != 201
call("DELETE", "/sandboxes/" + json.loads(made)["sandboxID"])
for s in held:
    s.close()
failed += call("DELETE", "/sandboxes/" + route["E2b-Sandbox-Id"])[0] != 204
failed += slowest > 5
print(f"{N} connections held: the slowest of 30 lists with a command took {slowest * 1000:.0f} ms")
print(f"{int(not failed)} passed, {int(failed > 0)} failed, 0 skipped")
sys.exit(failed > 0)
