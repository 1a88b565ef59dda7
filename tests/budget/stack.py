"""stack.py NAME CI CALLS [TAKEN] - the deepest path of calls in the graph that gcc
writes with -fcallgraph-info=su,da. Calls through pointers are resolved by CALLS
(member: functions; caller.member goes first). A function that CALLS marks "once" is entered at most once on a
path, for the reason given there. Fails on recursion, on stack of unknown size, on a member that
CALLS does not have, on a function of TAKEN (whose address is taken) that it does
not have. Prints the path and, last, "NAME BYTES"."""
import re
import sys

NODE = re.compile(r'node: \{ title: "([^"]*)" label: "([^"]*)"(.*)\}')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"(?: label: "([^"]*)")?')
# The names of a member call: client->provider->step(, c->events->data(, w.put(
MEMBER = re.compile(r"(?:->|\.)(\w+)\s*\(")

def clean(title):
    """sbxi_f.constprop.0 and file:sbxi_f are sbxi_f."""
    return title.rsplit(":", 1)[-1].split(".", 1)[0]


def source_line(cache, place):
    file, line, column = place.rsplit(":", 2)
    if file not in cache:
        with open(file) as f:
            cache[file] = f.read().split("\n")
    return cache[file][int(line) - 1][int(column) - 1:]


def read_calls(path):
    table, once = {}, set()
    with open(path) as f:
        for line in f:
            words = line.split()
            if words and words[0] == "once":
                once.add(words[1])
            elif words and not line.startswith("#"):
                table[words[0]] = words[1:]
    return table, once


def read_graph(path):
    frames, edges, problems = {}, [], []
    with open(path) as f:
        for line in f:
            node, edge = NODE.match(line), EDGE.match(line)
            if node:
                name, size = clean(node.group(1)), re.search(r"(\d+) bytes \(([a-z,]+)\)", node.group(2))
                if size:
                    frames[name] = max(frames.get(name, 0), int(size.group(1)))
                    if "dynamic" in size.group(2) and "bounded" not in size.group(2):
                        problems.append(name + " has a frame of unknown size")
            elif edge:
                edges.append((clean(edge.group(1)), edge.group(2), edge.group(3)))
    return frames, edges, problems


def resolve(edges, frames, table, problems):
    """{caller: set of callees}, pointers resolved."""
    graph, cache = {}, {}
    for source, target, place in edges:
        to = graph.setdefault(source, set())
        if target != "__indirect_call":
            to.add(clean(target))
            to.update(table.get(clean(target), []))  # what a library calls back
            continue
        text = source_line(cache, place)
        # A macro stands in the table by its own name.
        member = re.match(r"([A-Z_0-9]+)\s*\(", text) or MEMBER.search(text)
        if not member:
            problems.append("%s: what is called at %s?" % (source, place))
        elif member.group(1) not in table:
            problems.append("%s: the calls table has no '%s'" % (source, member.group(1)))
        else:
            to.update(table.get(source + "." + member.group(1), table[member.group(1)]))
    return graph


def deepest(graph, frames, leaves, problems):
    """{function: (bytes, next function)}; each cycle is a problem. A call of one of
    the leaves costs what they say, and is not followed."""
    best, path = {}, []

    def visit(name):
        if name in best:
            return best[name][0]
        if name in path:
            problems.append("recursion: " + " > ".join(path[path.index(name):] + [name]))
            return 0
        path.append(name)
        below, follow = 0, None
        for callee in sorted(graph.get(name, ())):
            if callee in frames:
                depth = leaves[callee] if callee in leaves else visit(callee)
                if depth > below:
                    below, follow = depth, callee
        path.pop()
        best[name] = (below + frames[name], follow)
        return best[name][0]

    for name in frames:
        visit(name)
    return best


def main():
    name, (table, once) = sys.argv[1], read_calls(sys.argv[3])
    frames, edges, problems = read_graph(sys.argv[2])
    graph = resolve(edges, frames, table, problems)
    known = {f for row in table.values() for f in row}
    for taken in sys.argv[4:]:
        if clean(taken) in frames and clean(taken) not in known:
            problems.append("the calls table lacks " + taken)
    first = deepest(graph, frames, {f: 0 for f in once}, problems)
    best = deepest(graph, frames, {f: first[f][0] for f in once if f in first}, [])
    root = max(best, key=lambda f: best[f][0])
    print("%s: the deepest path" % name)
    at = root
    while at:
        print("  %5d  %s" % (frames[at], at))
        at = best[at][1]
    for problem in problems:
        print("%s: %s" % (name, problem))
    print("%s %d" % (name, best[root][0]))
    return 1 if problems else 0


sys.exit(main())
