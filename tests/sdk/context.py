"""context.py PROGRAM [SEED] - the same COPY of the same files by the C client and by
this SDK: equal hashes, archives with the same names, types, modes and contents, the same
refusals. Trees, sources and ignore rules are made at random, from a printed seed, beside
a list of those that were thought of. "x/.." is not among them: the client takes it back
as it is written, the SDK only where there is an x; nor is "x/**" for an x that is a link
to no directory, which the SDK takes and the client does not."""
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile

from e2b.template.utils import (calculate_files_hash, read_dockerignore, tar_file_stream,
                                validate_relative_path)

program = sys.argv[1]
seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
rng = random.Random(seed)
NAMES = ["a", "b", "ab", "a.b", "a-b", "a b", ".h", "é", "日本", "x.log", "src", "src-x", "B", "[x]", "a*b"]
SOURCES = [".", "./", "a", "a/", "src", "*", "**", "**/", "**/*", "*/*", "*/", ".*", "a*", "[ab]*", "[!a]*",
           "**/*.log", "s*/**", "*/**/a", "?", "\\[x\\]", "[[]x]", "nope", "", "..", "/a", "a**", "l1/*",
           "*/x.log", "**/a/**", "a\\*b", "[b-a]", "[", "é", "?.?", "**/é"]
RULES = ["*.log", "a", "**/a", "a/**", "!a/b", "src", "!src/ab", "*", "!**/é", "[ab]", "[^a]*", "a?b", "**/*.log",
         "/b", "b/", "!", "[", "[]", "a**", "**b", "# c", " a ", "!*/x.log", "a//b/.", "../a", "\\[x]", "é", "?",
         "a\\", "!src", "***", "*/**/a"]


def make_tree(path, depth=0):
    for name in rng.sample(NAMES, rng.randrange(1, 7 - depth)):
        p, kind = os.path.join(path, name), rng.random()
        if kind < 0.4 and depth < 3:
            os.mkdir(p)
            make_tree(p, depth + 1)
        elif kind < 0.55:
            # none to itself: the SDK's patterns stop there
            os.symlink(rng.choice([t for t in ("a", "b", "../a", "src", ".", "/nowhere") if t != name]), p)
        else:
            with open(p, "wb") as f:
                f.write(rng.randbytes(rng.choice([0, 1, 511, 512, 513, 3000])))
            os.chmod(p, rng.choice([0o644, 0o755, 0o600, 0o777]))


def members(path):
    with tarfile.open(path) as t:
        found = []
        first = {}
        for m in t:
            if m.islnk():  # the SDK stores a second name of a file as a link to the first
                m.type, content = tarfile.REGTYPE, first[m.linkname]
            else:
                content = t.extractfile(m).read() if m.isfile() else None
            first[m.name] = content
            found.append((m.name, m.type, m.mode if not m.issym() else None, m.linkname if m.issym() else "", content))
        return found


def by_sdk(root, src, dest, follow, rules, archive):
    validate_relative_path(src, None)
    rules = read_dockerignore(root) + rules
    found = calculate_files_hash(src, dest, root, rules, follow, None)
    with tar_file_stream(src, root, rules, follow, True) as made, open(archive, "wb") as out:
        shutil.copyfileobj(made, out)
    return found


def compare(root, work, src, follow, rules):
    """None: equal; else what differs."""
    ours, theirs = os.path.join(work, "ours"), os.path.join(work, "theirs")
    got = subprocess.run([program, root, src, "/dest", str(int(follow)), ours, *rules], capture_output=True,
                         text=True, timeout=60)
    refused = None
    try:
        want = by_sdk(root, src, "/dest", follow, rules, theirs)
    except Exception as e:
        refused = f"{type(e).__name__}: {e}"
    if refused or got.returncode:
        if "links lead in circles" in got.stdout:  # which the SDK sends 40 times over
            return None
        if refused and got.returncode == 1 and got.stdout:
            return None
        return f"SDK {refused}, C {got.returncode}: {got.stdout}{got.stderr}"
    if got.stdout.strip() != want:
        return f"hash {got.stdout.strip()}, not {want}"
    if members(ours) != members(theirs):
        return f"archive {[m[:4] for m in members(ours)]}, not {[m[:4] for m in members(theirs)]}"
    return None


passed = failed = 0
work = tempfile.mkdtemp()
try:
    for tree in range(8):
        root = os.path.join(work, str(tree))
        os.mkdir(root)
        make_tree(root)
        os.symlink("src" if tree % 2 else "a", os.path.join(root, "l1"))
        if tree % 2:
            with open(os.path.join(root, ".dockerignore"), "w") as f:
                f.write("\ufeff# rules\n" + "\n".join(rng.sample(RULES[:10], 2)) + "\n")
        for src in SOURCES:
            rules = rng.sample(RULES, rng.randrange(4))
            follow = rng.random() < 0.3
            why = compare(root, work, src, follow, rules)
            passed += not why
            failed += bool(why)
            if why or os.environ.get("SDK_VERBOSE"):
                print(f"{'FAILED' if why else 'ok'} context {src!r} follow={follow} rules={rules}: {why}")
finally:
    shutil.rmtree(work, ignore_errors=True)
if failed:
    print(f"context: seed {seed}")
print(f"checks context: {passed} passed, {failed} failed")
sys.exit(failed > 0)
