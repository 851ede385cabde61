# Holes: sparse files read as zeros, take no room, and SEEK_HOLE, SEEK_DATA and punching say where they are.
# tmpfs-only: where holes begin and end is up to each kernel file system
import ctypes, errno, os, sys

sys.path.insert(0, os.environ["LIB"])
from say import data, put, say

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate64.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def fallocate(fd, mode, offset, length):
    if libc.fallocate64(fd, mode, offset, length):
        raise OSError(ctypes.get_errno(), "")


def extents(fd):
    out, at, end = [], 0, os.fstat(fd).st_size
    while at < end:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        out.append((start, at))
    return out


fd = os.open("f", os.O_RDWR | os.O_CREAT)
say("empty hole", os.lseek, fd, 0, os.SEEK_HOLE)
say("empty data", os.lseek, fd, 0, os.SEEK_DATA)
os.ftruncate(fd, 1 << 20)
print(extents(fd), os.fstat(fd).st_blocks, os.lseek(fd, 5, os.SEEK_HOLE))
os.pwrite(fd, b"x" * 4096, 65536)
print(extents(fd), os.fstat(fd).st_blocks)
os.pwrite(fd, b"y" * 8192, (1 << 20) - 8192)
print(extents(fd))
say("beyond", os.lseek, fd, 1 << 20, os.SEEK_DATA)
say("beyond hole", os.lseek, fd, 1 << 20, os.SEEK_HOLE)
say("in data", os.lseek, fd, 65600, os.SEEK_DATA)
KEEP, PUNCH, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
d = data(100_000)
fd = os.open("g", os.O_RDWR | os.O_CREAT)
os.write(fd, d)
say("punch", fallocate, fd, PUNCH | KEEP, 8192, 16384)
print(extents(fd), os.pread(fd, 100_000, 0) == d[:8192] + bytes(16384) + d[24576:])
say("punch part", fallocate, fd, PUNCH | KEEP, 40_000, 100)
print(os.pread(fd, 102, 39_999) == d[39_999:40_000] + bytes(100) + d[40_100:40_101])
say("punch without keep", fallocate, fd, PUNCH, 0, 10)
say("punch past end", fallocate, fd, PUNCH | KEEP, 90_000, 1 << 20)
print(os.fstat(fd).st_size, set(os.pread(fd, 20_000, 90_000)))
say("keep", fallocate, fd, KEEP, 0, 1 << 20)
print(os.fstat(fd).st_size)
say("plain", fallocate, fd, 0, 0, 200_000)
print(os.fstat(fd).st_size)
for mode in ZERO, COLLAPSE, INSERT:
    # tmpfs refuses these; a file system that knows them may serve them.
    copy = os.open("copy", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.write(copy, d)
    want = {ZERO: bytes(4096) + d[4096:], COLLAPSE: d[4096:], INSERT: bytes(4096) + d}[mode]
    try:
        fallocate(copy, mode, 0, 4096)
    except OSError as error:
        want = d if error.errno == errno.EOPNOTSUPP else None
    print("served or refused", os.pread(copy, 200_000, 0) == want)
os.unlink("copy")
say("length 0", fallocate, fd, 0, 0, 0)
say("negative", fallocate, fd, 0, -1, 5)
say("read-only", fallocate, os.open("g", 0), 0, 0, 10)
big = os.open("big", os.O_RDWR | os.O_CREAT)
os.pwrite(big, b"end", 5 << 30)
print(os.fstat(big).st_size, os.pread(big, 10, (5 << 30) - 2), os.lseek(big, 0, os.SEEK_DATA), os.fstat(big).st_blocks < 100)
os.ftruncate(big, (4 << 30) + 1)
print(os.pread(big, 10, 4 << 30), os.fstat(big).st_blocks)
say("too far", os.pwrite, big, b"x", 2**63 - 1)
say("too long", os.ftruncate, big, 2**63 - 1)
os.close(big)
os.unlink("big")
put("full", bytes(1 << 20))
fd = os.open("full", os.O_RDWR)
print(extents(fd))
os.ftruncate(fd, 5000)
os.ftruncate(fd, 1 << 20)
print(extents(fd), set(os.read(fd, 1 << 20)))
