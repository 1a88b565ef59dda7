"""A terminal session: a shell whose state is kept, a program run in it that reads what
is typed, interrupted, resized; then its exit code."""
import asyncio

from e2b import AsyncSandbox
from e2b.sandbox.commands.command_handle import CommandExitException, PtySize


async def main():
    sandbox = await AsyncSandbox.create(timeout=120)
    screen = bytearray()
    shell = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=screen.extend,
                                     envs={"PS1": "> "}, timeout=60)

    async def type_and_wait(text, sign):
        screen.clear()
        await sandbox.pty.send_stdin(shell.pid, text.encode())
        for _ in range(500):
            if sign.encode() in screen:
                return True
            await asyncio.sleep(0.02)
        print("no", repr(sign), "in", repr(bytes(screen)))
        return False

    print("state kept", await type_and_wait("cd /tmp && NAME=world\n", "/tmp")
          and await type_and_wait('echo "hello $NAME from $PWD" | tr a-z A-Z\n',
                                  "HELLO WORLD FROM /TMP"))
    print("a program", await type_and_wait("python3 -q\n", ">>> ")
          and await type_and_wait("print(6 * 7)\n", "42")
          and await type_and_wait("while True: pass\n\n", "... ")
          and await type_and_wait("\x03", "KeyboardInterrupt")
          and await type_and_wait("exit()\n", "/tmp"))
    await sandbox.pty.resize(shell.pid, PtySize(rows=40, cols=132))
    print("resized", await type_and_wait("stty size\n", "40 132"))
    await type_and_wait("exit 9\n", "exit")
    try:
        await shell.wait()
    except CommandExitException as e:
        print("exit code", e.exit_code)
    print("killed", await sandbox.kill())


asyncio.run(main())
