# python's os.*: names, dir_fd, scandir, walk, rename, links, times, attributes of the file system.
import os, sys, stat

sys.path.insert(0, os.environ["LIB"])
from say import get, put, say

os.makedirs("a/b/c")
os.makedirs("a/b/c", exist_ok=True)
say("makedirs", os.makedirs, "a/b/c")
put("a/f", b"f")
put("a/b/g", b"gg")
os.symlink("../f", "a/b/l")
os.symlink("nowhere", "a/dangling")
os.symlink("b", "a/lb")
for entry in sorted(os.scandir("a"), key=lambda e: e.name):
    print(
        entry.name,
        entry.is_dir(),
        entry.is_file(),
        entry.is_symlink(),
        entry.is_dir(follow_symlinks=False),
        entry.inode() == os.lstat(entry.path).st_ino,
        entry.stat(follow_symlinks=False).st_size if not entry.is_dir(follow_symlinks=False) else "-",
    )
for top, dirs, files in os.walk("."):
    dirs.sort()
    print(top, dirs, sorted(files))
for top, dirs, files in os.walk(".", followlinks=True):
    dirs.sort()
    print(top, dirs, sorted(files))
print(sorted(top for top, dirs, files in os.walk(".", topdown=False)))
for top, dirs, files, fd in os.fwalk("a"):
    dirs.sort()
    print(top, dirs, sorted(files), [os.stat(f, dir_fd=fd, follow_symlinks=False).st_size for f in sorted(files)])
d = os.open("a", os.O_RDONLY | os.O_DIRECTORY)
e = os.open("a/b", os.O_RDONLY)
print(sorted(os.listdir(d)), sorted(os.listdir(b"a"))[0], sorted(x.name for x in os.scandir(d)))
fd = os.open("at", os.O_CREAT | os.O_RDWR, dir_fd=d)
os.write(fd, b"at")
print(os.stat("at", dir_fd=d).st_size, os.access("at", os.R_OK, dir_fd=d))
os.mkdir("dat", 0o750, dir_fd=d)
os.symlink("at", "sat", dir_fd=d)
print(os.readlink("sat", dir_fd=d))
os.link("at", "lat", src_dir_fd=d, dst_dir_fd=e)
os.rename("lat", "rat", src_dir_fd=e, dst_dir_fd=d)
os.unlink("sat", dir_fd=d)
os.rmdir("dat", dir_fd=d)
os.chmod("at", 0o600, dir_fd=d)
os.utime("at", ns=(1_000_000_001, 2_000_000_002), dir_fd=d)
print(os.stat("rat", dir_fd=d).st_mtime_ns, oct(os.stat("a/rat").st_mode), sorted(os.listdir("a")))
say("dir_fd of a file", os.stat, "x", dir_fd=fd)
say("dir_fd closed", os.stat, "x", dir_fd=99)
say("dir_fd absolute", lambda: os.stat("/etc/passwd", dir_fd=d).st_size > 0)
say("dotdot", lambda: os.stat("..", dir_fd=e).st_ino == os.stat("a").st_ino)
os.stat(".", dir_fd=d)
say("empty", os.stat, "", dir_fd=d)
os.chdir("a/b")
print(
    os.getcwd()[len(os.environ["ROOT"]) :],
    os.listdir("../lb/../b") == os.listdir("."),
    os.path.realpath("l")[len(os.environ["ROOT"]) :],
)
os.chdir(d)
print(os.getcwd()[len(os.environ["ROOT"]) :], os.getcwdb()[-5:])
os.chdir("..")
say("chdir file", os.chdir, "a/f")
say("chdir missing", os.chdir, "zz")
say("chdir loop", lambda: (os.symlink("o", "o"), os.chdir("o")))
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
say("cwd of a removed directory", os.getcwd)
say("create there", os.open, "x", os.O_CREAT | os.O_WRONLY)
say("list it", os.listdir)
say("up", lambda: sorted(os.listdir("..")))
os.chdir(os.environ["ROOT"] + "/case")
put("r1", b"1")
put("r2", b"22")
h = open("r2", "rb")
os.rename("r1", "r2")
print(get("r2"), h.read(), os.fstat(h.fileno()).st_nlink)
say("rename missing", os.rename, "r1", "x")
say("rename to dir", os.rename, "r2", "a")
say("dir to file", os.rename, "a", "r2")
say("into itself", os.rename, "a", "a/b/x")
say("onto full", lambda: (os.mkdir("em"), os.rename("em", "a")))
say("full onto empty", os.rename, "a", "em")
print(sorted(os.listdir("em")))
os.rename("em", "a")
os.rename("r2", "r2")
os.replace("r2", "r1")
os.renames("r1", "x/y/z")
print(get("x/y/z"))
os.renames("x/y/z", "r")
print(os.path.exists("x"))
say("rename dot", os.rename, "a/.", "q")
say("rename slash", os.rename, "r/", "q")
say("rename to slash", os.rename, "r", "q/")
os.link("r", "rh")
os.rename("r", "rh")
print(os.path.exists("r"), os.stat("r").st_nlink)
say("unlink dir", os.unlink, "a")
say("rmdir file", os.rmdir, "r")
say("rmdir full", os.rmdir, "a")
say("rmdir missing", os.rmdir, "zz")
say("rmdir dot", os.rmdir, ".")
say("unlink slash", os.unlink, "r/")
say("unlink missing", os.unlink, "zz")
say("link dir", os.link, "a", "q")
say("link exists", os.link, "r", "rh")
say("symlink exists", os.symlink, "r", "rh")
say("symlink empty", os.symlink, "", "q")
say("readlink file", os.readlink, "r")
say("mkdir exists", os.mkdir, "a")
say("mkdir below file", os.mkdir, "r/x")
say("mkdir long", os.mkdir, "n" * 256)
say("long path", os.stat, "a/" * 2100)
say("mkdir dotdot", os.mkdir, "..")
say("mkdir slash", lambda: os.mkdir("withslash/"))
say("link symlink", lambda: (os.link("a/dangling", "hd", follow_symlinks=False), os.readlink("hd"))[1])
u = open("r", "rb+")
os.unlink("r")
print(os.fstat(u.fileno()).st_nlink, os.path.exists("r"))
os.unlink("rh")
print(os.fstat(u.fileno()).st_nlink)
u.write(b"still")
u.seek(0)
print(u.read())
put("r", b"new")
u.seek(0)
print(u.read(), get("r"))
u.close()
for ns in (0, 0), (1, 999_999_999), (-1_500_000_000, -1), (2**32 * 10**9, 2**33 * 10**9 + 5):
    os.utime("r", ns=ns)
    s = os.stat("r")
    print(ns, s.st_atime_ns, s.st_mtime_ns)
os.utime("r")
print(abs(os.stat("r").st_mtime - __import__("time").time()) < 10)
f = os.open("r", 0)
os.utime(f, (5, 6))
print(os.stat("r").st_atime, os.stat("r").st_mtime)
os.utime("a/dangling", (7, 8), follow_symlinks=False)
print(os.lstat("a/dangling").st_mtime)
say("utime dangling", os.utime, "a/dangling")
os.chmod(f, 0o4711)
print(oct(os.stat("r").st_mode))
os.chmod("r", 0o644)
before = os.stat("r")
__import__("time").sleep(0.03)
os.chmod("r", 0o644)
after = os.stat("r")
print(after.st_ctime_ns > before.st_ctime_ns, after.st_mtime_ns == before.st_mtime_ns)
before = os.stat(".")
__import__("time").sleep(0.03)
put("touchdir", b"")
after = os.stat(".")
print(after.st_mtime_ns > before.st_mtime_ns)
before = os.stat("r")
__import__("time").sleep(0.03)
os.link("r", "r3")
after = os.stat("r")
print(after.st_ctime_ns > before.st_ctime_ns, after.st_nlink)
os.write(os.open("r", 1), b"w")
print(os.stat("r").st_mtime_ns > before.st_mtime_ns)
v = os.statvfs(".")
w = os.fstatvfs(f)
print(v.f_bsize > 0, v.f_blocks >= v.f_bfree >= v.f_bavail >= 0, v.f_namemax, v.f_bsize == w.f_bsize, v.f_files >= v.f_ffree)
print(
    os.pathconf(".", "PC_NAME_MAX"),
    os.fpathconf(f, "PC_PATH_MAX"),
    os.access("r", os.X_OK),
    os.access("zz", os.F_OK),
    os.access("r", os.R_OK | os.W_OK),
    os.access(".", os.X_OK),
)
for name in b"\xff\xfe", "日本".encode(), b"a\nb", b"\x01", b"x" * 255, b"...", b"-", b"~", b" ":
    put(name, name)
    print(name in os.listdir(b"."), get(name) == name)
    os.unlink(name)
os.umask(0o027)
put("um", b"")
os.mkdir("umd")
print(oct(os.stat("um").st_mode), oct(os.stat("umd").st_mode), oct(os.umask(0o022)))
print(
    stat.filemode(os.stat(os.environ["ROOT"]).st_mode)[0],
    os.path.ismount("."),
    os.path.samefile("r", "r3"),
    os.path.lexists("a/dangling"),
    os.path.exists("a/dangling"),
    os.path.getsize("r"),
    os.path.islink("a/lb"),
    os.path.isdir("a/lb"),
)
print(
    os.stat(".").st_ino == [e for e in os.scandir("..") if e.name == "case"][0].inode(),
    os.stat("a/b/..").st_ino == os.stat("a").st_ino,
    len({os.stat(p).st_ino for p in ("a", "a/b", "a/f", "r", "um")}),
)
n = 3000
os.mkdir("many")
[os.close(os.open("many/f%d" % i, os.O_CREAT)) for i in range(n)]
it = os.scandir("many")
first = [next(it).name for _ in range(10)]
[os.unlink("many/" + name) for name in first]
rest = [entry.name for entry in it]
print(len(set(rest) | set(first)) == n, len(rest) == len(set(rest)), len(os.listdir("many")))
[os.unlink("many/" + x) for x in os.listdir("many")]
print(os.listdir("many"))
