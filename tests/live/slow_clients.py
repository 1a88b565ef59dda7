#!/usr/bin/env python3
"""slow_clients.py URL KEY [N]: N (1,000) connections that a host holds open for slow
clients must not stop the others: in the middle of a request's head, of a body, not
reading a long answer or an answer of a server in the sandbox, and with https in the
middle of the handshake. The last line is `N passed, N failed, N skipped`.
"""
import http.client, json, os, resource, socket, ssl, struct, sys, time, urllib.parse

url = urllib.parse.urlsplit(sys.argv[1] if len(sys.argv) > 1 else os.environ["E2B_API_URL"])
key = sys.argv[2] if len(sys.argv) > 2 else os.environ["E2B_API_KEY"]
N = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
want = N + 100
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
if hard != resource.RLIM_INFINITY and hard < want:
    print(f"skipped: only {hard} descriptors")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(want, 4096) if hard > 4096 else hard, hard))


tls = ssl.create_default_context() if url.scheme == "https" else None  # by SSL_CERT_FILE


def connection(timeout=20):
    if tls:
        return http.client.HTTPSConnection(url.hostname, url.port, timeout=timeout, context=tls)
    return http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)


def call(method, path, body=None, headers=None):
    c = connection()
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


def command(cmd):
    c = connection()
    c.request("POST", "/process.Process/Start", envelope({"process": {"cmd": "/bin/bash", "args": ["-c", cmd]}}),
              dict(route, **{"Content-Type": "application/connect+json"}))
    out = c.getresponse().read()
    c.close()
    return out


with socket.create_server(("127.0.0.1", 0)) as s:
    port = s.getsockname()[1]
command(f"""cat > serve.py <<'END'
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        if self.path == "/": self.wfile.write(b"small")
        while self.path == "/endless": self.wfile.write(bytes(1 << 20))
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", {port}), H).serve_forever()
END
python3 serve.py > /dev/null 2>&1 & disown""")
served = {"E2b-Sandbox-Id": made["sandboxID"], "E2b-Sandbox-Port": str(port)}
for _ in range(200):
    if call("GET", "/", headers=served) == (200, b"small"):
        break
    time.sleep(0.1)
lines = "".join(f"{k}: {v}\r\n" for k, v in route.items())
flood = envelope({"process": {"cmd": "/bin/bash", "args": ["-c", "yes"]}})
kinds = [
    f"POST /v2/sandboxes HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-".encode(),
    f"POST /files?path=slow HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 100000\r\n\r\n".encode() + b"x" * 50,
    f"GET / HTTP/1.1\r\nHo".encode(),
    f"POST /process.Process/Start HTTP/1.1\r\nHost: x\r\n{lines}Content-Type: application/connect+json\r\n"
    f"Content-Length: {len(flood)}\r\n\r\n".encode() + flood,
    f"GET /endless HTTP/1.1\r\nHost: {port}-{made['sandboxID']}.any.domain\r\n\r\n".encode(),
]
HELLO = b"\x16\x03\x01\x01\x00\x01\x00"  # of a handshake, as far as it comes


def hold(i):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(60)
    s.connect((url.hostname, url.port))
    if tls and i % 4 == 0:
        s.sendall(HELLO[:i // 4 % 2 * 7])  # nothing, or the beginning
        return s
    if tls:
        s = tls.wrap_socket(s, server_hostname=url.hostname)
    # few that flood: each is a process or a thread of the sandbox
    s.sendall(kinds[3] if i % 100 == 99 else kinds[4] if i % 100 == 49 else kinds[i % 3])
    return s


held = [hold(i) for i in range(N)]
slowest, failed = 0, 0
for i in range(30):
    at = time.time()
    status, listed = call("GET", "/v2/sandboxes?limit=1")
    out = command("echo well")
    answer = call("GET", "/", headers=served)
    slowest = max(slowest, time.time() - at)
    failed += status != 200 or b"d2VsbAo=" not in out or answer != (200, b"small")
for n, s in enumerate(held):
    s.settimeout(0.2)
    if n % 50 != 49:
        try:  # none was thrown out to make room
            failed += s.recv(1) == b""
        except (socket.timeout, ssl.SSLWantReadError):
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
print(f"{N} connections held: the slowest of 30 lists with a command and a call of a server took {slowest * 1000:.0f} ms")
print(f"{int(not failed)} passed, {int(failed > 0)} failed, 0 skipped")
sys.exit(failed > 0)
