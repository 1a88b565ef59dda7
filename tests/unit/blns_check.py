"""blns_check.py FILE - what blns_test wrote down of the requests it made, against
tests/data/blns.json: each string was refused before anything was sent, or is in the
request byte for byte. Parsed by Python's own library. Exit status 1: something differs."""
import base64
import collections
import json
import re
import sys
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

STRINGS = json.load(open("tests/data/blns.json", encoding="utf-8")) + ["plain"]
# Where nothing may be refused: any UTF-8 text has its form there.
NEVER_REFUSED = {"create", "list"}


def head(data):
    """Request line as three words, headers as (name, value) bytes."""
    text, rest = data.split(b"\r\n\r\n")
    assert rest == b"", "bytes behind the head"
    lines = text.split(b"\r\n")
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", b"".join(lines)), "a control character"
    words = lines[0].split(b" ")
    assert len(words) == 3 and words[2] == b"HTTP/1.1", "request line of %d words" % len(words)
    assert re.fullmatch(rb"/[!-~]*", words[1]) and b"#" not in words[1], "target"
    fields = []
    for line in lines[1:]:
        name, value = line.split(b": ", 1)
        assert re.fullmatch(rb"[A-Za-z0-9-]+", name), "header name"
        fields.append((name, value))
    return words, fields


def query(target):
    """Strict: %XX and plain letters only, '+' a space."""
    path, _, text = target.partition(b"?")
    assert re.fullmatch(rb"([A-Za-z0-9._~+&=-]|%[0-9A-F]{2})*", text), "query letters"
    return path, parse_qsl(text.decode(), keep_blank_values=True, strict_parsing=bool(text),
                           errors="strict")


def message(body, streaming):
    if streaming:
        assert body[0] == 0 and int.from_bytes(body[1:5], "big") == len(body) - 5, "envelope"
        body = body[5:]
    return json.loads(body.decode("utf-8"))


def parts(fields, body):
    """Of a multipart body: (filename bytes, data). A quoted string as RFC 9110 has it."""
    boundary = re.fullmatch(rb"multipart/form-data; boundary=([0-9a-f]+)",
                            dict(fields)[b"Content-Type"])[1]
    pieces = body.split(b"--" + boundary)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n", "multipart ends"
    out = []
    for piece in pieces[1:-1]:
        top, data = piece.split(b"\r\n\r\n", 1)
        assert data.endswith(b"\r\n"), "part ends"
        line = re.fullmatch(rb'\r\nContent-Disposition: form-data; name="file"; '
                            rb'filename="((?:[^"\\\r\n]|\\.)*)"\r\nContent-Type: [!-~]+', top)
        assert line, "part head"
        out.append((re.sub(rb"\\(.)", rb"\1", line[1]), data[:-2]))
    return out


def as_filename(s):
    """What cannot stand in a quoted string is replaced there, as browsers do it."""
    return re.sub(rb'["\x00-\x1f]', lambda m: b"%%%02X" % m[0][0], s)


def check(kind, s, requests):
    raw = s.encode("utf-8")
    words, fields = requests[0][0]
    body = requests[0][1]
    values = dict(fields)
    path, args = query(words[1])
    if kind == "create":
        got = message(body, False)
        assert got["templateID"] == s, "template"
        assert got["metadata"] == {"value": s, s: "key"}, "metadata"
        assert got["envVars"] == {"VALUE": s}, "envs"
    elif kind == "run":
        got = message(body, True)["process"]
        assert got["cmd"] == "/bin/bash" and got["args"] == ["-l", "-c", s], "argv"
        assert got["envs"] == {"VALUE": s} and got["cwd"] == s, "process"
        assert message(body, True)["tag"] == s, "tag"
    elif kind == "user":
        kind, _, value = values[b"Authorization"].partition(b" ")
        assert kind == b"Basic" and base64.b64decode(value, validate=True) == raw + b":", "user"
    elif kind == "list":
        # Quoted, then a form of its own, then a value of the query, as E2B's SDKs have it.
        pairs = parse_qsl(dict(args)["metadata"], keep_blank_values=True, strict_parsing=True)
        assert [(unquote(k), unquote(v)) for k, v in pairs] == [(s, s)], "metadata"
    elif kind in ("header", "agent", "key", "callkey"):
        name, want = {"header": (b"X-Naughty", raw), "key": (b"X-API-KEY", raw),
                      "agent": (b"User-Agent", None), "callkey": (b"X-API-KEY", raw)}[kind]
        assert values[name] == want or kind == "agent", "value"
        assert kind != "agent" or values[name].endswith(b" " + raw), "agent"
    elif kind == "token":
        assert values[b"X-Access-Token"] == raw, "token"
    elif kind == "id":
        assert words[0] == b"DELETE" and path.startswith(b"/sandboxes/"), "route"
        segment = path[len(b"/sandboxes/"):]
        assert re.fullmatch(rb"([A-Za-z0-9._~-]|%[0-9A-F]{2})+", segment), "segment letters"
        assert segment not in (b".", b"..") and unquote_to_bytes(segment) == raw, "segment"
        assert dict(requests[1][0][1])[b"E2b-Sandbox-Id"] == raw, "id"
    elif kind == "read":
        assert path == b"/files" and args == [("path", s), ("username", s)], "query"
    elif kind == "write":
        assert path == b"/files" and dict(args)["path"] == s, "query"
        assert parts(fields, body) == [(as_filename(raw), raw)], "part"
    elif kind == "many":
        assert "path" not in dict(args), "query"
        assert parts(fields, body) == [(raw, raw), (b"other", b"b")], "parts"
    elif kind == "rename":
        assert message(body, False) == {"source": s, "destination": s}, "paths"
    else:
        raise AssertionError("unknown kind")


def main():
    rows = {}
    for line in open(sys.argv[1]):
        kind, index, status, *pieces = line.split()
        data = [b"" if p == "-" else bytes.fromhex(p) for p in pieces]
        rows[kind, int(index)] = status, list(zip(data[::2], data[1::2]))
    counts, bad = collections.Counter(), 0
    for (kind, index), (status, requests) in rows.items():
        s = STRINGS[index]
        try:
            if not requests:
                allowed = status == "SBX_E_ARG" or (kind, s) == ("key", "") \
                    or (kind == "id" and status == "SBX_E_TOO_LARGE")
                assert allowed, status
                assert kind not in NEVER_REFUSED and s != "plain", "refused"
                counts[kind, "refused"] += 1
                continue
            assert status == "SBX_OK", status
            heads = [(head(h), b) for h, b in requests]
            plain = [head(h) for h, _ in rows[kind, len(STRINGS) - 1][1]]
            assert [[n for n, _ in h[1]] for h, _ in heads] == \
                [[n for n, _ in h[1]] for h in plain], "other headers than usual"
            check(kind, s, heads)
            counts[kind, "sent"] += 1
        except (AssertionError, ValueError, KeyError, TypeError, IndexError) as e:
            bad += 1
            print("%s %d %r: %s: %s" % (kind, index, s[:60], type(e).__name__, e))
    kinds = list(dict.fromkeys(k for k, _ in rows))
    if len(rows) != len(kinds) * len(STRINGS) or len(kinds) != 14:
        print("rows are missing")
        bad += 1
    print("blns: " + ", ".join("%s %d sent %d refused" % (k, counts[k, "sent"],
                                                          counts[k, "refused"]) for k in kinds))
    return bad != 0


sys.exit(main())
