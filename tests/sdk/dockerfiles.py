"""dockerfiles.py [--write] - what this SDK makes of the Dockerfiles of tests/data is what
expected.jsonl there says, which the C client is held to; with CR LF at the ends of their
lines as well. --write records it anew. The README.md there says what is in it."""
import contextlib
import glob
import io
import json
import os
import re
import sys
import tempfile

from e2b import Template

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "dockerfiles")
EXPECTED = os.path.join(HERE, "expected.jsonl")
SOURCES = [
    "requirements.txt", "package.json", "package-lock.json", "src/x", "hello", "go.mod", "go.sum",
    "entrypoint.sh", "conf/a.conf", "data.tar", "a", "b", "with space.txt", "other", "quoted.txt",
    "Cargo.toml", "Cargo.lock", "target/app.jar", "environment.yml", "local.bin", "docs/x", "app.py",
    "a.txt", "b.txt", "c/x", "d1.md", "e", "f"]


def context(root):
    """The files that a COPY or ADD names: the SDK wants them to be there."""
    for name in SOURCES:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write("content\n")


def made(text, root):
    """Of a Dockerfile: its JSON but for the hashes, or the class and line of the refusal."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            got = json.loads(Template.to_json(Template(file_context_path=root).from_dockerfile(text)))
    except Exception as e:
        line = re.search(r"\bline (\d+)", str(e))
        return {"error": {"class": type(e).__name__, "line": int(line[1]) if line else None}}
    for step in got["steps"]:
        step.pop("filesHash", None)
    return {"json": got}


def main():
    found = {}
    with tempfile.TemporaryDirectory() as root:
        context(root)
        for path in sorted(glob.glob(os.path.join(HERE, "*.Dockerfile"))):
            with open(path, encoding="utf-8", newline="") as f:
                text = f.read()
            name = os.path.basename(path)
            found[name] = made(text, root)
            crlf = made(re.sub("\r?\n", "\r\n", text), root)
            if crlf != found[name]:
                found[name]["crlf"] = crlf
    if "--write" in sys.argv:
        with open(EXPECTED, "w", encoding="utf-8", newline="\n") as f:
            for name, what in found.items():
                f.write(json.dumps({"name": name, **what}, ensure_ascii=False) + "\n")
    with open(EXPECTED, encoding="utf-8") as f:
        expected = {e.pop("name"): e for e in map(json.loads, f)}
    passed = failed = 0
    for name in sorted(found.keys() | expected.keys()):
        same = found.get(name) == expected.get(name)
        passed += same
        failed += not same
        if not same or os.environ.get("SDK_VERBOSE"):
            print(f"{'ok' if same else 'FAILED'} dockerfiles {name}: {found.get(name)}")
    print(f"checks dockerfiles: {passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())
