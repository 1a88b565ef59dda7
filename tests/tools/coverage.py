"""coverage.py LIMITS SHOW GCOV_JSON... - merges the counters of all programs by
module and line, prints a table, and fails below the limits. What one program
leaves out counts when another reaches it. A module is a file of sandbox_impl/."""
import json
import sys


def reports(path):
    """The JSON documents of a file, which has one a line."""
    with open(path) as f:
        for line in f:
            if line.startswith("{"):
                yield json.loads(line)


def module_of(name):
    at = name.rfind("sandbox_impl/")
    return None if at < 0 else name[at + len("sandbox_impl/"):].rsplit(".", 1)[0]


def merge(paths):
    """{module: {(line, function): [count, [branch counts]]}}"""
    modules = {}
    for path in paths:
        for report in reports(path):
            for file in report["files"]:
                module = module_of(file["file"])
                if module is None:
                    continue
                lines = modules.setdefault(module, {})
                for line in file["lines"]:
                    key = (line["line_number"], line.get("function_name"))
                    have = lines.setdefault(key, [0, []])
                    have[0] += line["count"]
                    counts = [b["count"] for b in line["branches"]]
                    # Another switch may make another number of branches: keep the longer row.
                    old = have[1] + [0] * (len(counts) - len(have[1]))
                    have[1] = [a + b for a, b in zip(old, counts + [0] * len(old))]
    return modules


def read_limits(path):
    with open(path) as f:
        rows = [l.split() for l in f if l.strip() and not l.startswith("#")]
    return {r[0]: (float(r[1]), float(r[2])) for r in rows}


def percent(part, whole):
    return 100.0 if whole == 0 else 100.0 * part / whole


def main():
    limits, show, modules = read_limits(sys.argv[1]), sys.argv[2], merge(sys.argv[3:])
    failed = [m for m in limits if m not in modules]
    print("%-20s %14s %8s %14s %8s" % ("module", "lines", "", "branches", ""))
    for name in sorted(modules):
        lines = modules[name]
        hit = sum(1 for l in lines.values() if l[0])
        ways = [b for l in lines.values() for b in l[1]]
        taken = sum(1 for b in ways if b)
        of_lines, of_ways = percent(hit, len(lines)), percent(taken, len(ways))
        want = limits.get(name)
        low = want and (of_lines < want[0] or of_ways < want[1])
        print("%-20s %6d /%6d %7.2f%% %6d /%6d %7.2f%%  %s" % (name, hit, len(lines), of_lines,
              taken, len(ways), of_ways, "TOO LOW" if low else "ok" if want else "(no limit)"))
        if low:
            failed.append(name)
        if show == name or (low and not show):
            for (number, _), (count, branches) in sorted(lines.items(), key=lambda i: i[0][0]):
                if not count:
                    print("    %s:%d: never reached" % (name, number))
                elif 0 in branches:
                    print("    %s:%d: branches %s" % (name, number, " ".join(map(str, branches))))
    if failed:
        print("coverage: below the limit: " + " ".join(failed))
        return 1
    print("coverage: ok")
    return 0


sys.exit(main())
