"""The jobs of bench.h by the official Python SDK."""
import os
import statistics
import sys
import time

from e2b import Sandbox

mode = sys.argv[1]
n = int(sys.argv[2]) if len(sys.argv) > 2 else 1
box = Sandbox.connect(os.environ["BENCH_ID"])
if mode == "hello":
    print(box.commands.run("echo hello").stdout, end="")
elif mode == "commands":
    took = []
    for _ in range(n):
        began = time.perf_counter()
        assert box.commands.run("echo hello").stdout == "hello\n"
        took.append((time.perf_counter() - began) * 1e3)
    print(statistics.median(took))
elif mode == "stream":
    count = 0

    def take(text):
        global count
        count += len(text)

    line = "a line of output like one of a compiler or a test: sixty-four byte"
    box.commands.run(f"yes '{line}' | head -c {n << 20}", on_stdout=take)
    assert count == n << 20, count
    print(count)
