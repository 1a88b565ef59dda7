"""What zlib and Python's gzip make of some texts, for gzip_test: of each the length of
the text and of the member or members (32 bits, little endian), then both."""
import gzip, io, random, struct, sys, zlib

random.seed(5)
words = b"the sandbox runs a command and streams its output back to the caller ".split()
texts = [b"", b"a", b"hello", b"a" * 300, bytes(range(256)) * 2,
         b" ".join(random.choice(words) for _ in range(180)),
         bytes(random.randrange(256) for _ in range(700))]
long = [b" ".join(random.choice(words) for _ in range(30000)),
        bytes(random.randrange(256) for _ in range(90000)), b"\0" * 200000,
        b"".join(b"%d," % (i * i) for i in range(20000)),
        bytes(random.randrange(256) for _ in range(32768)) * 3]


def member(text, level, strategy, bits=31):
    z = zlib.compressobj(level, zlib.DEFLATED, bits, 8, strategy)
    return z.compress(text) + z.flush()


def flushed(text):
    z = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [z.compress(text[i:i + 50]) + z.flush(random.choice([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]))
             for i in range(0, len(text), 50)]
    return b"".join(parts) + z.flush()


def named(text):
    f = io.BytesIO()
    with gzip.GzipFile("some name.txt", "wb", 9, f, mtime=1) as g:
        g.write(text)
    return f.getvalue()


def with_all(text):
    """Every part a head may have."""
    head = struct.pack("<2sBBIBB", b"\x1f\x8b", 8, 2 | 4 | 8 | 16, 1, 0, 3)
    head += struct.pack("<H", 5) + b"extra" + b"name\0" + b"a comment\0"
    raw = member(text, 6, 0, -15)
    return (head + struct.pack("<H", zlib.crc32(head) & 0xffff) + raw
            + struct.pack("<II", zlib.crc32(text), len(text) & 0xffffffff))


def out(text, packed):
    sys.stdout.buffer.write(struct.pack("<II", len(text), len(packed)) + text + packed)


for t in texts:
    for level in (0, 1, 6, 9):
        for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE):
            out(t, member(t, level, strategy))
    out(t, named(t))
    out(t, with_all(t))
    out(t, flushed(t))
    out(t * 2, member(t, 6, 0) + gzip.compress(t, mtime=0))
for t in long:
    for level in (0, 1, 9):
        out(t, member(t, level, 0))
    out(t, member(t, 6, zlib.Z_FIXED))
    out(t, member(t, 6, zlib.Z_HUFFMAN_ONLY))
    out(t + t[:100], member(t, 6, 0) + member(t[:100], 6, 0))
