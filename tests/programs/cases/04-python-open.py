# python's open: every mode, buffering, seek, tell, truncate and text translation.
import io, os, sys

sys.path.insert(0, os.environ["LIB"])
from say import data, get, put, say

for mode in "r", "w", "a", "x", "r+", "w+", "a+", "x+", "rb", "rb+", "wb+", "xb", "ab+":
    say("missing " + mode, lambda: open("m_" + mode, mode).close())
    put("present", b"one\ntwo\n")

    def there():
        with open("present", mode) as f:
            out = [f.tell(), f.seekable(), f.readable(), f.writable()]
            if f.writable():
                f.write(b"xy" if "b" in mode else "xy")
            out.append(f.tell())
            if f.readable():
                out.append(f.read())
        return out, get("present")

    say("present " + mode, there)
for buffering in 0, 1, 2, 100, 4096, 1 << 20:

    def buffered():
        with open("buf", "wb+", buffering=buffering) as f:
            for i in range(500):
                f.write(b"%d," % i)
            f.seek(10)
            first = f.read(7)
            f.write(b"@@@")
            f.seek(-5, 2)
            last = f.read()
            f.seek(0)
            f.truncate(1000)
            return first, last, f.tell(), os.fstat(f.fileno()).st_size

    say("buffering %d" % buffering, buffered)
    print(hash(get("buf")) == hash(get("buf")), len(get("buf")))
big = data(3_000_001)
put("big", big)
with open("big", "rb") as f:
    print(f.read(1) == big[:1], f.read(1 << 20) == big[1 : (1 << 20) + 1], f.tell(), f.peek(5)[:5] == big[(1 << 20) + 1 :][:5])
    f.seek(-1, 1)
    print(f.tell())
    f.seek(0, 2)
    print(f.tell(), f.read())
    f.seek(2_999_999)
    print(f.read() == big[-2:])
    buffer = bytearray(1 << 21)
    f.seek(1)
    print(f.readinto(buffer), buffer == big[1 : (1 << 21) + 1], f.readinto1(bytearray(10)))
    say("seek before the start", f.seek, -1)
    f.seek(10 << 20)
    print(f.read(), f.tell())
with open("big", "rb", buffering=0) as f:
    print(f.readall() == big, f.readall(), f.seek(5), f.read(0), f.readinto(bytearray(3)))
with open("text", "w", encoding="utf-8", newline="") as f:
    f.write("a\r\nb\nc\rd é\U0001f600\n")
for newline in None, "", "\n", "\r", "\r\n":
    print(newline, open("text", encoding="utf-8", newline=newline).readlines())
with open("text", encoding="utf-8") as f:
    f.readline()
    here = f.tell()
    rest = f.read()
    f.seek(here)
    print(f.read() == rest, list(f))
with open("text", "r+", encoding="utf-8") as f:
    f.seek(0, 2)
    f.write("end\n")
    f.flush()
    print(os.path.getsize("text"))
    f.seek(0)
    print(len(f.read()))
    f.truncate(3)
print(get("text"))
with open("lines", "w") as f:
    f.writelines("%d\n" % i for i in range(10000))
    print("last", file=f)
print(sum(1 for _ in open("lines")), open("lines").readlines()[-2:])
with io.BufferedRandom(io.FileIO("random", "w+")) as f:
    f.write(big[:100000])
    f.seek(50)
    f.write(b"=" * 10)
    f.seek(45)
    print(f.read(20))
    f.seek(99990)
    f.write(b"z" * 20)
    f.seek(0)
    print(len(f.read()))
with io.BufferedRWPair(io.FileIO("lines", "r"), io.FileIO("pair", "w")) as f:
    f.write(f.read(10))
    f.flush()
print(get("pair"))
a, b = open("two", "wb"), open("two", "rb")
a.write(b"hidden")
print(b.read())
a.flush()
print(b.read())
a.write(b" more")
a.close()
print(b.read())
b.close()
say("directory", open, ".")
say("directory w", open, ".", "w")
say("below a file", open, "two/x")
say("nul", open, "a\0b")
say("long", open, "n" * 256)
say("empty", open, "")
say("closefd", lambda: open(os.open("two", os.O_RDONLY), closefd=True).read())
with open("two", "rb") as f, open(os.dup(f.fileno()), "rb") as g:
    print(f.read(3), g.read(), f.tell())
sys.stdout = open("stdout", "w")
print("to a file")
sys.stdout.close()
sys.stdout = sys.__stdout__
print(get("stdout"))
os.write(os.open("fdopen", os.O_CREAT | os.O_RDWR, 0o600), b"raw")
print(oct(os.stat("fdopen").st_mode), os.fdopen(os.open("fdopen", 0)).read())
print(open("opener", "w", opener=lambda p, f: os.open(p, f, 0o640)).write("x"), oct(os.stat("opener").st_mode))
