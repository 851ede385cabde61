# python's os.*: descriptors, positions, flags, vectors, truncate, allocation, sendfile and copy_file_range.
import ctypes, os, sys, errno

sys.path.insert(0, os.environ["LIB"])
from say import data, get, put, say

d = data(300_000)
fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o644)
print(
    os.write(fd, d),
    os.lseek(fd, 0, os.SEEK_CUR),
    os.lseek(fd, 0, 0),
    os.read(fd, 10) == d[:10],
    os.pread(fd, 20, 100) == d[100:120],
    os.lseek(fd, 0, 1),
)
print(
    os.pwrite(fd, b"PW", 299_999), os.fstat(fd).st_size, os.lseek(fd, 0, 1), os.pread(fd, 10, 299_998), os.pread(fd, 10, 400_000)
)
print(os.pwrite(fd, b"far", 1_000_000), os.fstat(fd).st_size, os.pread(fd, 8, 999_996), set(os.pread(fd, 700_000, 300_001)[:-3]))
b1, b2, b3 = bytearray(3), bytearray(100_000), bytearray(7)
os.lseek(fd, 0, 0)
print(
    os.readv(fd, [b1, b2, b3]),
    bytes(b1 + b2 + b3) == d[:100_010],
    os.preadv(fd, [b1, b3], 5),
    bytes(b1 + b3) == d[5:15],
    os.lseek(fd, 0, 1),
)
print(
    os.writev(fd, [b"aa", b"", b"bbb"]),
    os.pwritev(fd, [b"cc", b"d"], 0),
    os.pread(fd, 5, 100_010),
    os.pread(fd, 4, 0)[:3],
    os.preadv(fd, [b1], 0, 0),
)
for size in 500_000, 4096, 4095, 1, 0, 10:
    os.ftruncate(fd, size)
    print(size, os.fstat(fd).st_size, len(os.pread(fd, 1 << 20, 0)), os.lseek(fd, 0, 1))
print(os.pread(fd, 20, 0))
os.truncate("f", 3)
os.write(fd, b"!")
print(os.fstat(fd).st_size, os.stat("f").st_size)
say("negative truncate", os.ftruncate, fd, -1)
say("negative pread", os.pread, fd, 1, -1)
say("negative seek", os.lseek, fd, -5, 0)
say("bad whence", os.lseek, fd, 0, 99)
say("seek over end", os.lseek, fd, 10, 2)
os.close(fd)
say("closed read", os.read, fd, 1)
say("closed close", os.close, fd)
say("closed fstat", os.fstat, fd)
r = os.open("f", os.O_RDONLY)
w = os.open("f", os.O_WRONLY)
a = os.open("f", os.O_WRONLY | os.O_APPEND)
say("write to read-only", os.write, r, b"x")
say("read from write-only", os.read, w, 1)
say("truncate read-only", os.ftruncate, r, 0)
say("empty write read-only", os.write, r, b"")
os.ftruncate(w, 0)
os.write(w, b"12345")
os.write(a, b"678")
os.write(w, b"x")
print(os.read(r, 100), os.lseek(a, 0, 1))
os.lseek(a, 0, 0)
os.write(a, b"end")
print(get("f"), os.pwrite(a, b"P", 0), get("f"))
for flag in "O_RDONLY O_WRONLY O_RDWR".split():
    for (
        extra
    ) in "O_TRUNC O_EXCL O_CREAT O_APPEND O_DIRECTORY O_NOFOLLOW O_SYNC O_DSYNC O_NONBLOCK O_CLOEXEC O_NOATIME O_NOCTTY".split():
        put("g", b"content")

        def once():
            fd = os.open("g", getattr(os, flag) | getattr(os, extra))
            size = os.fstat(fd).st_size
            os.close(fd)
            return size

        say(flag + " " + extra, once)
say("excl", os.open, "g", os.O_CREAT | os.O_EXCL)
say("dir write", os.open, ".", os.O_WRONLY)
say("dir creat", os.open, ".", os.O_CREAT)
say("file as dir", os.open, "g", os.O_DIRECTORY)
os.symlink("g", "l")
os.symlink("absent", "da")
say("nofollow", os.open, "l", os.O_NOFOLLOW)
say("excl on dangling", os.open, "da", os.O_CREAT | os.O_EXCL)
os.close(os.open("da", os.O_CREAT | os.O_WRONLY))
print(os.path.exists("absent"))
say("dir read", lambda: os.read(os.open(".", 0), 1))
say("trailing slash", os.open, "g/", 0)
say("creat trailing", os.open, "new/", os.O_CREAT | os.O_WRONLY)
say("mode 0", lambda: oct(os.fstat(os.open("m0", os.O_CREAT | os.O_WRONLY, 0)).st_mode))
t = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(t, b"anonymous")
print(os.fstat(t).st_nlink, sorted(os.listdir(".")))
libc = ctypes.CDLL(None)
AT_FDCWD, AT_SYMLINK_FOLLOW = -100, 0x400
print(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % t, AT_FDCWD, b"named", AT_SYMLINK_FOLLOW))
print(get("named"), os.fstat(t).st_nlink)
t = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
os.close(t)
p = os.open("g", os.O_PATH)
say("O_PATH read", os.read, p, 1)
say("O_PATH fstat", lambda: os.fstat(p).st_size)
say("O_PATH proc", lambda: get("/proc/self/fd/%d" % p))
os.unlink("named")
put("s", d)
src, dst = os.open("s", os.O_RDONLY), os.open("t", os.O_RDWR | os.O_CREAT | os.O_TRUNC)


def loop(call):
    total = 0
    while n := call():
        total += n
    return total


print(loop(lambda: os.sendfile(dst, src, None, 100_000)), get("t") == d, os.lseek(src, 0, 1), os.lseek(dst, 0, 1))
os.ftruncate(dst, 0)
os.lseek(dst, 0, 0)
print(os.sendfile(dst, src, 10, 20), get("t") == d[10:30], os.lseek(src, 0, 1))
os.ftruncate(dst, 0)
os.lseek(dst, 0, 0)
os.lseek(src, 0, 0)
print(loop(lambda: os.copy_file_range(src, dst, 1 << 20)), get("t") == d)
print(os.copy_file_range(src, dst, 50, 100, 7), get("t") == d[:7] + d[100:150] + d[57:], os.lseek(dst, 0, 1))
print(os.copy_file_range(src, dst, 50, 999_999))
out = os.open(os.environ["OUT"] + "/k", os.O_RDWR | os.O_CREAT)
os.lseek(src, 0, 0)
print(loop(lambda: os.sendfile(out, src, None, 1 << 20)), get(os.environ["OUT"] + "/k") == d)
os.ftruncate(dst, 0)
os.lseek(dst, 0, 0)
os.lseek(out, 0, 0)
print(loop(lambda: os.sendfile(dst, out, None, 1 << 20)), get("t") == d)
pr, pw = os.pipe()
os.lseek(src, 0, 0)
print(os.sendfile(pw, src, 0, 1000), os.read(pr, 2000) == d[:1000])
print(os.splice(src, pw, 500, offset_src=100), os.read(pr, 2000) == d[100:600])
os.write(pw, b"spliced")
os.lseek(dst, 0, 0)
print(os.splice(pr, dst, 7), os.pread(dst, 7, 0))
fd = os.open("alloc", os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 100_000)
print(os.fstat(fd).st_size, os.pread(fd, 5, 99_990), os.fstat(fd).st_blocks >= 195)
os.posix_fallocate(fd, 50_000, 100)
os.posix_fallocate(fd, 99_999, 2)
print(os.fstat(fd).st_size)
say("fallocate 0", os.posix_fallocate, fd, 0, 0)
say("fallocate read-only", os.posix_fallocate, r, 0, 1)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
os.fsync(fd), os.fdatasync(fd), os.sync()
say("fsync bad", os.fsync, 999)
print(os.get_blocking(fd), os.isatty(fd), os.get_inheritable(fd), os.lseek(fd, 0, 2))
say("fchmod", os.fchmod, fd, 0o601)
say("fchown", os.fchown, fd, -1, -1)
print(oct(os.fstat(fd).st_mode))
os.fchdir(os.open(".", 0))
say("fchdir file", os.fchdir, fd)
new = os.dup(fd)
os.write(new, b"via dup")
print(os.lseek(fd, 0, 1))
os.dup2(fd, 77)
os.lseek(77, 3, 0)
print(os.lseek(new, 0, 1))
os.dup2(77, 77)
os.close(77)
os.dup2(fd, 90, inheritable=False)
print(os.get_inheritable(90))
os.set_inheritable(90, True)
os.closerange(88, 95)
say("closed", os.fstat, 90)
say("dup bad", os.dup, 999)
st, lf = os.fstat(fd), os.stat("alloc")
print(st.st_ino == lf.st_ino, st.st_dev == lf.st_dev, st.st_blksize >= 512, st.st_size)
