# shutil, pathlib, tempfile and glob build, copy, archive and remove trees.
import glob, os, pathlib, shutil, sys, tempfile, fnmatch, filecmp

sys.path.insert(0, os.environ["LIB"])
from say import data, get, put, say

P = pathlib.Path
r = os.environ["ROOT"]
for d in "s/a/b", "s/c", "s/empty":
    P(d).mkdir(parents=True)
put("s/f", data(500_000))
put("s/a/g", b"g")
put("s/a/b/h.py", b"h")
os.symlink("f", "s/l")
os.symlink("nowhere", "s/dang")
os.link("s/f", "s/hard")
os.chmod("s/a/g", 0o600)
for root, dirs, files in os.walk("s"):
    [os.utime(os.path.join(root, x), (1e9, 1e9 + 1), follow_symlinks=False) for x in dirs + files]
shutil.copytree("s", "t", symlinks=True)
print(sorted(str(p) for p in P("t").rglob("*")))
say("exists", shutil.copytree, "s", "t")
say("dangling", shutil.copytree, "s", "u")
shutil.copytree("s", "v", ignore_dangling_symlinks=True, ignore=shutil.ignore_patterns("*.py", "c"))
print(sorted(str(p) for p in P("v").rglob("*")))
shutil.copytree("s", "v", symlinks=True, dirs_exist_ok=True) if not P("v/l").exists() else None
c = filecmp.dircmp("s", "t")
print(c.left_only, c.right_only, c.diff_files, sorted(c.same_files))
shutil.copyfile("s/f", "f1")
shutil.copy("s/a/g", "f2")
shutil.copy2("s/a/g", "f3")
shutil.copy("s/f", "t/c")
print(oct(os.stat("f2").st_mode), os.stat("f3").st_mtime, os.path.exists("t/c/f"))
say("same", shutil.copyfile, "f1", "f1")
shutil.copyfileobj(open("f1", "rb"), open("f4", "wb"), 1000)
shutil.copymode("f2", "f1")
shutil.copystat("f3", "f1")
print(oct(os.stat("f1").st_mode), os.stat("f1").st_mtime)
shutil.move("t", "w")
shutil.move("f1", "w/c")
print(sorted(os.listdir("w/c")))
say("move over", shutil.move, "f2", "w/c/f1")
say("move onto existing", lambda: (put("g", b""), shutil.move("g", "w/a"))[1])
shutil.move("w/a", os.environ["OUT"] + "/moved")
print(sorted(os.listdir(os.environ["OUT"] + "/moved")))
shutil.move(os.environ["OUT"] + "/moved", "back")
print(sorted(os.listdir("back")), os.path.exists(os.environ["OUT"] + "/moved"))
for fmt in "tar", "gztar", "zip", "xztar":
    a = shutil.make_archive("arch", fmt, "s", "a")
    print(os.path.basename(a))
    shutil.unpack_archive(a, "un_" + fmt)
    print(sorted(str(p) for p in P("un_" + fmt).rglob("*")))
    os.unlink(a)
u = shutil.disk_usage(".")
print(u.total >= u.used + u.free - u.total, u.free > 0)
shutil.rmtree("w")
print(os.path.exists("w"))
say("rmtree missing", shutil.rmtree, "w")
say("rmtree link", lambda: (os.symlink("s", "ls"), shutil.rmtree("ls"))), shutil.rmtree("nothing", ignore_errors=True)
print(os.path.exists("s"))
os.makedirs("/".join("d%d" % i for i in range(100)))
shutil.rmtree("d0")
print(os.path.exists("d0"))
os.makedirs("bin")
put("bin/tool", b"#!/bin/sh\necho tool\n")
os.chmod("bin/tool", 0o755)
print(shutil.which("tool", path="bin"))
print(
    sorted(glob.glob("s/*")),
    sorted(glob.glob("s/**", recursive=True)),
    sorted(glob.glob("*/a/b/*.py")),
    glob.glob("nothing*"),
    sorted(glob.glob("*", root_dir="s")),
    glob.glob(r + "/case/s/[f]")[0][len(r) :],
)
p = P("p.txt")
p.write_text("text\n")
print(p.read_text(), p.stat().st_size, p.exists(), p.is_file(), p.suffix, p.resolve().relative_to(r))
p.write_bytes(b"\0" * 10)
p.rename("q.txt")
p = P("q.txt")
p.touch(0o600)
p.chmod(0o640)
p.replace("z.txt")
P("z.txt").unlink()
P("z.txt").unlink(missing_ok=True)
say("unlink", P("z.txt").unlink)
print(sorted(x.name for x in P("s").iterdir()), [str(x) for x in sorted(P("s").glob("**/*.py"))])
P("ln").symlink_to("s/f")
P("hl").hardlink_to("s/f")
print(
    P("ln").readlink(),
    P("hl").samefile("ln"),
    P("hl").stat().st_uid == os.getuid(),
    P(".").absolute() == P.cwd(),
    P("ln").is_symlink(),
)
say("mkdir", P("s").mkdir), P("s").mkdir(exist_ok=True)
say("rmdir", P("s").rmdir)
P("s/empty").rmdir()
print(P("~").expanduser().name, P.home() == P(r) / "home")
with tempfile.TemporaryDirectory() as t:
    print(t.startswith(r + "/tmp/"), oct(os.stat(t).st_mode))
    put(t + "/x", b"x")
print(os.listdir(r + "/tmp"))
with tempfile.NamedTemporaryFile("w+", suffix=".x", dir=".") as t:
    t.write("abc")
    t.flush()
    print(get(t.name), oct(os.stat(t.name).st_mode))
    name = t.name
print(os.path.exists(name))
with tempfile.TemporaryFile() as t:
    t.write(data(100_000))
    t.seek(99_000)
    print(t.read() == data(100_000)[99_000:], os.fstat(t.fileno()).st_nlink)
with tempfile.SpooledTemporaryFile(max_size=10) as t:
    t.write(b"x" * 100)
    t.seek(0)
    print(len(t.read()))
fd, name = tempfile.mkstemp(dir=".")
os.write(fd, b"mk")
os.close(fd)
print(get(name))
os.unlink(name)
d = tempfile.mkdtemp(prefix="pre", dir=".")
print(os.path.basename(d).startswith("pre"))
os.rmdir(d)
