# A private mapping shows what is written to the file later, on pages it has not changed (POSIX leaves it open; Linux does).
# differs: FLAC gives a private mapping the content of the moment it was made
import mmap

p = open("priv", "w+b")
p.write(b"z" * 20_000)
p.flush()
q = mmap.mmap(p.fileno(), 0, mmap.MAP_PRIVATE)
p.seek(16_384)
p.write(b"new")
p.flush()
print(q[16_384:16_387])
