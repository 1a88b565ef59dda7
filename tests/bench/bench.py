"""make bench: runs the programs beside this file in turn (A B A B ...), and sets
the medians of each round's ratios against the goals. run.sh has built everything,
has started the host, and says in the environment where things are.

Every number is a ratio of two programs that ran right after each other on this
machine. A goal that is missed is said and counted; only BENCH_STRICT=1 makes it an
error. What can't be measured here is skipped, with its reason.
BENCH_ONLY="json_reader commands start transfers stream tls" runs some of the parts."""
import json
import os
import statistics
import subprocess
import sys
import time

BUILD = os.environ.get("BENCH_BUILD", "build/bench")
SECONDS = float(os.environ.get("BENCH_SECONDS", "240"))
BEGAN = time.monotonic()
ROWS = []
FACTS = {}
C = {name: [f"{BUILD}/{name}"] for name in ("ours", "curl", "raw")}
SKIPPED = {}
for name in C:
    if not os.path.exists(C[name][0]):
        SKIPPED[name] = os.environ.get(f"BENCH_NO_{name.upper()}", "not built")
C["python"] = [os.environ.get("BENCH_PYTHON", ""), "tests/bench/sdk.py"]
C["js"] = ["node", "tests/bench/sdk.mjs"]
for name in ("python", "js"):
    if os.environ.get(f"BENCH_NO_{name.upper()}"):
        SKIPPED[name] = os.environ[f"BENCH_NO_{name.upper()}"]


def measure(who, *job):
    """One run of one program: its numbers; raises if it failed."""
    done = subprocess.run([f"{BUILD}/measure", *C[who], *map(str, job)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, text=True)
    head, _, out = done.stdout.partition("\n")
    rc, wall, cpu, rss, first = head.split()
    if done.returncode or rc != "0":
        raise RuntimeError(f"{who} {job}: exit code {rc}: {done.stderr.strip()[-300:]}")
    return {"wall": float(wall), "cpu": float(cpu), "rss": int(rss), "first": float(first), "out": out.strip()}


def in_turn(programs, job, rounds, share):
    """rounds[i] is {program: numbers}. Ends early, but not before 3 rounds, when its
    share of the time is used up."""
    present = [p for p in programs if p not in SKIPPED]
    began, runs = time.monotonic(), []
    for p in present:  # warm: programs in the cache, the host awake
        measure(p, *(("commands", 5) if job[0] == "commands" else job))
    while len(runs) < rounds and (len(runs) < 3 or time.monotonic() - began < share * SECONDS):
        if time.monotonic() - BEGAN > SECONDS:
            break
        runs.append({p: measure(p, *job) for p in present})
        present = present[1:] + present[:1]  # nobody is always first
    return runs


def median(runs, who, value):
    return statistics.median(value(r[who]) for r in runs)


def ratio(runs, peer, value):
    return statistics.median(value(r["ours"]) / value(r[peer]) for r in runs)


def row(what, goal, reached, note="", unit="x"):
    """goal: ("<=", 0.6); reached: a number, or why there is none."""
    sign, limit = goal
    if isinstance(reached, str):
        state, shown = reached if reached.startswith("failed") else f"skipped ({reached})", "-"
    else:
        good = round(reached, 3) <= limit if sign == "<=" else round(reached, 3) >= limit
        state, shown = "ok" if good else "missed", f"{reached:.3f}{unit}" if reached < 1 else f"{reached:.2f}{unit}"
    ROWS.append({"what": what, "goal": f"{sign} {limit:.3g}{unit}", "reached": shown, "state": state,
                 "value": None if isinstance(reached, str) else round(reached, 4), "note": note})
    print(f"  {what}: {shown} of {sign} {limit:.3g}{unit}: {state}", flush=True)


def against(what, goal, runs, peer, value, note=""):
    row(f"{what}, against {peer}", goal, SKIPPED[peer] if peer in SKIPPED else
        ratio(runs, peer, value) if runs else "no time was left", note)


def cpu(r):
    return r["cpu"]


def printed(r):
    return float(r["out"])


def commands():
    print("200 commands, one after another", flush=True)
    runs = in_turn(["ours", "curl", "raw"], ("commands", 200), 9, 0.16)
    for peer, goal in (("curl", 0.6), ("raw", 1.2)):
        against("client CPU of 200 commands", ("<=", goal), runs, peer, cpu)
    FACTS["cpu_ms_of_200_commands"] = {p: round(median(runs, p, cpu) * 1e3, 1) for p in runs[0]}
    # Mostly the host's time: short turns, so that both see the same host.
    runs = in_turn(["ours", "curl", "raw"], ("commands", 40), 41, 0.12)
    against("wall time of one command", ("<=", 1.0), runs, "curl", printed)
    FACTS["ms_per_command"] = {p: round(median(runs, p, printed), 2) for p in runs[0]}
    for peer, goal in (("python", 1 / 10), ("js", 1 / 30)):
        slow = in_turn(["ours", peer], ("commands", 200), 3, 0.08) if peer not in SKIPPED else []
        against("client CPU of 200 commands", ("<=", goal), slow, peer, cpu)
        if slow:
            FACTS["cpu_ms_of_200_commands"][peer] = round(median(slow, peer, cpu) * 1e3)


def start():
    print("a program of one command", flush=True)
    runs = in_turn(["ours", "python"], ("hello",), 5, 0.06) if "python" not in SKIPPED else []
    against("start to first output", ("<=", 1 / 20), runs, "python", lambda r: r["first"])
    against("peak RSS of one command", ("<=", 1 / 20), runs, "python", lambda r: r["rss"])
    if runs:
        FACTS["first_output_ms"] = {p: round(median(runs, p, lambda r: r["first"]) * 1e3, 1) for p in runs[0]}
        FACTS["rss_kib_of_one_command"] = {p: median(runs, p, lambda r: r["rss"]) for p in runs[0]}


def transfers():
    print("64 MiB up and down", flush=True)
    rss = 0
    for way in ("upload", "download"):
        runs = in_turn(["ours", "curl"], (way, 64), 25, 0.08)
        # Throughput is the inverse of time. Others on the machine only ever add to it.
        best = {p: min(printed(r[p]) for r in runs) for p in runs[0]}
        row(f"{way} of 64 MiB, throughput against curl", (">=", 1.0),
            SKIPPED["curl"] if "curl" in SKIPPED else 1 / ratio(runs, "curl", printed),
            note=f"best runs {best['curl'] / best['ours']:.2f}x" if "curl" in best else "")
        rss = max(rss, median(runs, "ours", lambda r: r["rss"]) / 1024)
        FACTS[f"{way}_mb_s"] = {p: round((64 << 20) / 1e6 / median(runs, p, printed)) for p in runs[0]}
        FACTS[f"{way}_cpu_ms"] = {p: round(median(runs, p, cpu) * 1e3, 1) for p in runs[0]}
    row("peak RSS of them", ("<=", 2.0), rss, unit=" MiB", note="mbedTLS linked in, the C library shared")


def stream():
    print("20 MiB of output of a command", flush=True)
    runs = in_turn(["ours", "curl"], ("stream", 20), 9, 0.08)
    against("CPU of 20 MiB of output, decoded", ("<=", 1.1), runs, "curl", cpu, "curl does not decode")
    slow = in_turn(["ours", "python"], ("stream", 20), 3, 0.06) if "python" not in SKIPPED else []
    against("CPU of 20 MiB of output, decoded", ("<=", 1 / 5), slow, "python", cpu)
    small = in_turn(["ours"], ("stream", 2), 3, 0.02)
    big = in_turn(["ours"], ("stream", 80), 3, 0.06)
    row("memory for 80 MiB of output, against 2 MiB", ("<=", 1.1),
        median(big, "ours", lambda r: r["rss"]) / median(small, "ours", lambda r: r["rss"]))
    FACTS["stream_cpu_ms"] = {p: round(median(runs, p, cpu) * 1e3, 1) for p in runs[0]}


def json_reader():
    print("JSON reader", flush=True)
    out = subprocess.run([f"{BUILD}/json"], stdout=subprocess.PIPE, timeout=120, text=True, check=True).stdout
    rates = {}
    for line in out.splitlines():
        _, kind, name, parser, rate, times = line.split("|")
        rates.setdefault(name, {"kind": kind})[parser] = (float(rate), float(times))
    FACTS["json_mb_s"] = {name: {p: r[p][0] for p in r if p != "kind"} for name, r in rates.items()}
    goals = {"usual": (("jsmn", 1.4), ("yyjson", 0.7)), "hostile": (("jsmn", 0.9), ("yyjson", 0.5))}
    for name, r in rates.items():
        for parser, goal in goals[r["kind"]]:
            reason = os.environ.get(f"BENCH_NO_{parser.upper()}", "not here")
            row(f"JSON {name}, against {parser}", (">=", goal), r[parser][1] if parser in r else reason)
    for parser in ("cJSON", "coreJSON", "simdjson"):
        if not any(parser in r for r in rates.values()):
            FACTS[f"json_{parser}"] = os.environ.get(f"BENCH_NO_{parser.upper()}", "not here")
        else:  # no goal is set against these
            FACTS[f"json_times_{parser}"] = {name: r[parser][1] for name, r in rates.items()}


def tls():
    print("download over TLS", flush=True)
    if not os.environ.get("BENCH_CERTS"):
        row("TLS transfer, against mbedTLS alone", (">=", 0.97), "no openssl to make certificates with")
        return
    certs = os.environ["BENCH_CERTS"]
    out = subprocess.run([f"{BUILD}/tls", f"{certs}/ca.pem", f"{certs}/localhost.pem", f"{certs}/localhost.key",
                          "32", "9"], stdout=subprocess.PIPE, timeout=120, text=True, check=True).stdout
    lines = [line.split("|") for line in out.splitlines()]
    FACTS["tls_mb_s"] = {who: {"wall": float(w), "per_cpu_second": float(c)} for _, who, w, c, _, _ in lines}
    row("TLS transfer per CPU second, against mbedTLS alone", (">=", 0.97), float(lines[0][5]),
        note=f"by the clock on the wall {lines[0][4]}x")


def main():
    only = os.environ.get("BENCH_ONLY", "").split()
    for part in (json_reader, commands, start, transfers, stream, tls):
        if only and part.__name__ not in only:
            continue
        try:
            part()
        except Exception as e:  # one row's misfortune must not hide the others
            row(part.__name__.replace("_", " "), ("<=", 0), f"failed ({type(e).__name__}: {e}"[:300] + ")")
    print()
    for name, value in FACTS.items():
        print(f"{name}: {json.dumps(value)}")
    print()
    width = max(len(r["what"]) for r in ROWS)
    print(f"{'what':{width}}  {'goal':>9}  {'reached':>9}")
    for r in ROWS:
        print(f"{r['what']:{width}}  {r['goal']:>9}  {r['reached']:>9}  {r['state']}" +
              (f"; {r['note']}" if r["note"] else ""))
    count = {s: sum(r["state"].startswith(s) for r in ROWS) for s in ("ok", "missed", "failed", "skipped")}
    with open(os.environ.get("BENCH_JSON", "build/bench.json"), "w") as f:
        json.dump({"rows": ROWS, "facts": FACTS, "seconds": round(time.monotonic() - BEGAN), **count}, f, indent=1)
        f.write("\n")
    print(f"bench: {count['ok']} ok, {count['missed']} missed, {count['failed']} failed, {count['skipped']} skipped "
          f"({time.monotonic() - BEGAN:.0f} s)")
    return 1 if count["failed"] or (count["missed"] and os.environ.get("BENCH_STRICT") == "1") else 0


sys.exit(main())
