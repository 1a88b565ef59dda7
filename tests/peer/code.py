"""code.py PROGRAM... - a peer that knows one sandbox with a code interpreter: replies
as recorded, a line of JSON a message, in small pieces. Runs the program against it on
a free port of the loopback; its exit code is the program's."""
import http.server
import json
import os
import subprocess
import sys
import threading

BOX = {"sandboxID": "i1a2b3c4d5e6f7g8h9i0j", "templateID": "code-interpreter-v1", "domain": None,
       "envdAccessToken": "a-token", "envdVersion": "0.6.4", "clientID": "c"}
COUNT = {"type": "number_of_executions", "execution_count": 1}
OVER = {"type": "end_of_execution"}
REPLIES = {
    "x = 20; print('hello')": [{"type": "stdout", "text": "hello\n", "timestamp": 1735689600000000}],
    "x + 1": [{"type": "result", "text": "21", "is_main_result": True, "extra": {}}],
    "plot(x)": [{"type": "result", "text": "<Figure>", "png": "iVBORw0KGgo=\n", "extra": {}}],
    "1 / 0": [{"type": "error", "name": "ZeroDivisionError", "value": "division by zero",
               "traceback": "line 1"}],
}


class Peer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v2/sandboxes" and asked["templateID"] == "code-interpreter-v1":
            return self.reply(201, json.dumps(BOX).encode())
        if (self.path != "/execute" or self.headers["X-Access-Token"] != "a-token"
                or self.headers["E2b-Sandbox-Port"] != "49999"):
            return self.reply(404, b"no such thing")
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        lines = [COUNT] + REPLIES[asked["code"]] + [OVER]
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        for i in range(0, len(text), 7):
            piece = text[i:i + 7]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def do_DELETE(self):
        self.reply(204, b"")


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d" % server.server_address[1]
    env = dict(os.environ, E2B_API_KEY="e2b_" + "0" * 40, E2B_API_URL=url, E2B_SANDBOX_URL=url)
    code = subprocess.run(sys.argv[1:], env=env, timeout=60).returncode
    server.shutdown()
    sys.exit(code)


main()
