#!/usr/bin/env python3
"""pty_shell_check.py PROGRAM - runs examples/pty_shell on a terminal of its own: a
usable shell, resized with it, and the terminal as before however it ends."""
import fcntl, os, pty, select, signal, struct, subprocess, sys, termios, time


class Shell:
    def __init__(self, env=None):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.size(33, 111)
        self.out = b""
        self.p = subprocess.Popen([sys.argv[1]], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                  env=dict(os.environ, **(env or {})), start_new_session=True)

    def size(self, rows, cols):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def until(self, text, seconds=30):
        end = time.time() + seconds
        while text not in self.out:
            assert time.time() < end and self.p.poll() is None, (text, self.out[-500:])
            if select.select([self.master], [], [], 0.2)[0]:
                self.out += os.read(self.master, 65536)
        self.out = self.out[self.out.index(text) + len(text):]

    def ends(self, code):
        got = None
        for _ in range(600):  # what it says last must be read, or it cannot say it
            if select.select([self.master], [], [], 0.05)[0]:
                self.out += os.read(self.master, 65536)
            got = self.p.poll()
            if got is not None:
                break
        assert got == code, (got, code, self.out[-500:])
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"
        os.close(self.master)
        os.close(self.slave)


def ready():
    s = Shell()
    s.type(b"echo re$((1))ady\r")  # typed ahead, as people do
    s.until(b"re1ady")
    assert termios.tcgetattr(s.slave) != s.before, "it is not raw"
    return s


s = ready()
s.type(b"stty size\r")
s.until(b"33 111")
s.size(44, 99)
s.p.send_signal(signal.SIGWINCH)
time.sleep(1)
s.type(b"stty size\r")
s.until(b"44 99")
s.type(b"sleep 1000\r")
time.sleep(1)
s.type(b"\x03")  # for the program inside
s.type(b"echo co$((2))de $?\r")
s.until(b"co2de 130")
s.type(b"exit 3\r")
s.ends(0)

s = ready()
s.type(b"\x04")
s.ends(0)

for sig in (signal.SIGTERM, signal.SIGHUP):
    s = ready()
    s.p.send_signal(sig)
    s.ends(0)
s = ready()
s.p.send_signal(signal.SIGABRT)
time.sleep(1)
assert termios.tcgetattr(s.slave) == s.before, "a crash leaves it raw"
s.p.send_signal(signal.SIGABRT)
s.ends(-signal.SIGABRT)

s = Shell({"E2B_API_KEY": "e2b_" + "9" * 40})
s.ends(1)
print("the shell is usable, and the terminal is as it was")
