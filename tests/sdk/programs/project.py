"""Upload a project, build it, run its tests with their output streaming, fix what fails,
fetch the result."""
from e2b import CommandExitException, Sandbox

FILES = {
    "calc/calc.h": "int add(int a, int b);\nint mul(int a, int b);\n",
    "calc/calc.c": '#include "calc.h"\n'
                   "int add(int a, int b) { return a + b; }\n"
                   "int mul(int a, int b) { return a + b; }\n",
    "calc/test.c": '#include <stdio.h>\n#include "calc.h"\n'
                   "static int bad;\n"
                   "static void check(const char *what, int got, int want) {\n"
                   '    printf("%s %s\\n", got == want ? "ok" : "FAIL", what); bad |= got != want; }\n'
                   'int main(void) { check("add", add(2, 3), 5); check("mul", mul(2, 3), 6); '
                   "return bad; }\n",
    "calc/Makefile": "test: build\n\t./test\nbuild:\n\t$(CC) -Wall -o test test.c calc.c\n",
}

with Sandbox.create(timeout=120, metadata={"app": "project"}) as sandbox:
    sandbox.files.write_files([{"path": p, "data": d} for p, d in FILES.items()])
    print("uploaded", [e.name for e in sandbox.files.list("calc")])
    build = sandbox.commands.run("make -s build CC=cc", cwd="/home/user/calc")
    print("build", build.exit_code, repr(build.stderr))
    try:
        sandbox.commands.run("./test", cwd="/home/user/calc",
                             on_stdout=lambda line: print(line, end=""))
    except CommandExitException as e:
        print("tests failed with", e.exit_code)
    fixed = sandbox.files.read("calc/calc.c").replace("mul(int a, int b) { return a + b",
                                                      "mul(int a, int b) { return a * b")
    sandbox.files.write("calc/calc.c", fixed)
    tests = sandbox.commands.run("make -s test CC=cc | tee report.txt", cwd="/home/user/calc",
                                 on_stdout=lambda line: print(line, end=""))
    print("tests", tests.exit_code)
    print("report", repr(sandbox.files.read("calc/report.txt")))
    binary = sandbox.files.read("calc/test", format="bytes")
    print("binary", bytes(binary[1:4]), len(binary) > 1000)
    sandbox.files.remove("calc")
    print("left", sandbox.files.exists("calc"))
