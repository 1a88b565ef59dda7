"""Reads what lz_test packed: of each a line of its name, one of level, length and packed
length, then both. Unpacks it, and says how long zlib would have made it."""
import gzip
import sys
import zlib

data, bad = sys.stdin.buffer, 0
print("%-12s %8s  %-40s zlib: %8s %8s %8s" % ("", "bytes", "by level", "-1", "-6", "-9"))
row = []
while True:
    name = data.readline().decode().strip()
    if not name:
        break
    level, size, packed = map(int, data.readline().split())
    text, member = data.read(size), data.read(packed)
    try:
        if gzip.decompress(member) != text:
            raise ValueError("it is something else")
        if member[:10] != b"\x1f\x8b\x08\0\0\0\0\0\0\xff":
            raise ValueError("its header is not the one that is always the same")
    except Exception as e:
        bad += 1
        print("%s, level %d: %s" % (name, level, e))
    if level == 9 and name in ("text", "mixture", "sandbox.h"):
        if size < 100000 or packed > 1.1 * len(zlib.compress(text, 6)):
            bad += 1
            print("%s: %d bytes are too many" % (name, packed))
    row.append("%d: %d" % (level, packed))
    if level == 9:
        print("%-12s %8d  %-46s" % (name, size, "  ".join(row)), *(
            "%8d" % (len(zlib.compress(text, n)) + 12) for n in (1, 6, 9)))
        row = []
sys.exit(bad != 0)
