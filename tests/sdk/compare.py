"""compare.py C.jsonl PYTHON.jsonl - are the results of scenario.c and scenario.py equal,
value by value? Ids, signatures and marks of a run stand for any of their form. A step
that one of them did not take, or that failed in both, is a failure by name."""
import json
import re
import sys

ANY = [(r"\bi[a-z0-9]{20}\b", "<id>"), (r"v1_[A-Za-z0-9%+/]{40,}", "<signature>"),
       (r"^(c|py)\d+$", "<mark>")]
# Failing is what these steps are for.
MEANT = {"run unknown user", "run unknown cwd", "run timeout", "connect unknown", "stdin unknown",
         "pty unknown", "read missing", "read directory", "files list missing", "files list file",
         "stat missing", "rename missing", "make dir on a file", "watch missing", "run after it",
         "info of none", "connect to none"}


def plain(v):
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    if isinstance(v, str):
        for form, name in ANY:
            v = re.sub(form, name, v)
    return v


def read(name):
    steps, count = {}, {}
    for line in open(name, encoding="utf-8"):
        try:
            step = json.loads(line)
        except ValueError:
            step = {"step": f"no JSON: {line[:80]!r}", "error": "no JSON"}
        n = count[step["step"]] = count.get(step["step"], 0) + 1
        steps[step["step"] + (f" ({n})" if n > 1 else "")] = plain(step)
    return steps


def leaves(v, path=""):
    if isinstance(v, dict) and v:
        return [x for k in v for x in leaves(v[k], f"{path}.{k}")]
    if isinstance(v, list) and v:
        return [x for i, y in enumerate(v) for x in leaves(y, f"{path}[{i}]")]
    return [(path, v)]


c, py = read(sys.argv[1]), read(sys.argv[2])
passed = failed = 0
for step in [*c, *(s for s in py if s not in c)]:
    if step not in c or step not in py:
        print(f"FAILED compare {step}: only {'C' if step in c else 'Python'} took it")
        failed += 1
        continue
    if "error" in c[step] and "error" in py[step]:
        c[step], py[step] = ({"error": x[step]["error"]} for x in (c, py))
    a, b = dict(leaves(c[step])), dict(leaves(py[step]))
    if "error" in c[step] and step not in MEANT:
        print(f"FAILED compare {step}: C: {c[step]['error']}, Python: {py[step].get('error')}")
        failed += 1
        continue
    for path in [*a, *(p for p in b if p not in a)]:
        if path in a and path in b and a[path] == b[path]:
            passed += 1
        else:
            failed += 1
            print(f"FAILED compare {step}{path}: C {a.get(path, 'nothing')!r}, "
                  f"Python {b.get(path, 'nothing')!r}")
print(f"checks compare: {passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
