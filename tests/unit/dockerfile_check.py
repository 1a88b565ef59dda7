"""dockerfile_check.py EXPECTED STATUS - compares what dockerfile_test says of each
Dockerfile with what the SDK made of it: the same JSON, or a refusal with that status, which
names the same line. The SDK names none in some; the client always does."""
import json
import re
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    expected = {e["name"]: e for e in map(json.loads, f)}
LINES = {"33-multi-stage.Dockerfile": 3, "36-absolute.Dockerfile": 2, "37-escapes.Dockerfile": 2}
seen, bad = set(), 0


def wrong(name, what, status, text):
    """None: as the SDK has it; else what differs."""
    if "json" in what:
        if status != 0:
            return f"refused with {status}: {text}"
        got = json.loads(text)
        return None if got == what["json"] else f"{got}\n  not {what['json']}"
    line = re.match(r"line (\d+): ", text)
    want = what["error"]["line"] or LINES[name]
    if status != int(sys.argv[2]) or not line or int(line[1]) != want:
        return f"{status}: {text}\n  not a refusal of line {want}"
    return None


data = sys.stdin.buffer
while True:
    head = data.readline().decode().split()
    if not head:
        break
    name, ends, status = head
    text = data.readline().decode().rstrip("\n")
    seen.add((name, ends))
    what = expected.get(name)
    if what is None:
        why = "nothing is recorded of it"
    else:
        why = wrong(name, what.get(ends, what), int(status), text)
    if why:
        bad += 1
        print(f"{name}, {ends}: {why}")
for name in expected:
    for ends in ("lf", "crlf"):
        if (name, ends) not in seen:
            bad += 1
            print(f"{name}, {ends}: was not tried")
sys.exit(bad != 0)
