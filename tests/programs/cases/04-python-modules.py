# sqlite3, zipfile, tarfile, gzip, pickle, csv, json, dbm, logging, select, sockets with files: library modules on files in FLAC.
import array, configparser, csv, dbm.dumb, fileinput, gzip, json, linecache, logging, lzma, os, pickle, select, selectors, shelve, socket, sqlite3, sys, tarfile, zipfile, bz2, hashlib, importlib, py_compile, io, wave, marshal, tempfile, codecs, mailbox, zipimport

sys.path.insert(0, os.environ["LIB"])
from say import data, get, put, say

for mode in "DELETE", "TRUNCATE", "PERSIST", "WAL", "MEMORY":
    db = sqlite3.connect("db_" + mode)
    print(db.execute("pragma journal_mode=" + mode).fetchone())
    db.execute("create table t(a integer primary key, b)")
    db.executemany("insert into t values(?, ?)", ((i, "v%d" % i) for i in range(3000)))
    db.commit()
    db.execute("delete from t where a % 3 = 0")
    db.rollback()
    print(db.execute("select count(*), sum(a) from t").fetchone())
    db.execute("create index i on t(b)")
    db.commit()
    other = sqlite3.connect("db_" + mode, timeout=0.05)
    print(other.execute("select b from t where b = 'v99'").fetchone())
    db.execute("begin immediate")
    say("busy", other.execute, "begin immediate")
    db.commit()
    other.close()
    db.execute("vacuum")
    print(db.execute("pragma integrity_check").fetchone())
    blob = data(1_000_000)
    db.execute("create table bl(x)")
    db.execute("insert into bl values(?)", (blob,))
    db.commit()
    print(db.execute("select x from bl").fetchone()[0] == blob)
    db.backup(sqlite3.connect("bk_" + mode))
    db.close()
    print(sorted(x for x in os.listdir(".") if mode in x))
    [os.unlink(x) for x in os.listdir(".") if mode in x]
with zipfile.ZipFile("z.zip", "w", zipfile.ZIP_DEFLATED) as z:
    for i in range(20):
        z.writestr(zipfile.ZipInfo("d/f%d" % i, (2001, 1, 2, 3, 4, 6)), data(10_000, i))
with zipfile.ZipFile("z.zip", "a") as z:
    z.writestr(zipfile.ZipInfo("late", (2001, 1, 2, 3, 4, 6)), b"late")
    print(z.testzip(), len(z.namelist()))
    z.extractall("zx")
print(get("zx/d/f7") == data(10_000, 7), len(os.listdir("zx/d")))
with tarfile.open("t.tar", "w") as t:
    i = tarfile.TarInfo("x")
    i.size = 5000
    t.addfile(i, io.BytesIO(data(5000)))
    t.add(
        "zx/d",
        filter=lambda i: (
            setattr(i, "mtime", 5),
            setattr(i, "uname", ""),
            setattr(i, "gname", ""),
            setattr(i, "uid", 0),
            setattr(i, "gid", 0),
            i,
        )[-1],
    )
with tarfile.open("t.tar") as t:
    print(len(t.getnames()), t.extractfile("x").read() == data(5000))
    t.extractall("tx")
for mod, ext in (gzip, "gz"), (bz2, "bz2"), (lzma, "xz"):
    with mod.open("c." + ext, "wb") as f:
        f.write(data(200_000))
    with mod.open("c." + ext, "rb") as f:
        f.seek(100_000)
        print(ext, f.read() == data(200_000)[100_000:])
    os.unlink("c." + ext)
pickle.dump({"a": [1, 2, data(70_000)]}, open("p", "wb"), 4)
print(pickle.load(open("p", "rb"))["a"][2] == data(70_000))
json.dump({"k": list(range(1000))}, open("j", "w"))
print(sum(json.load(open("j"))["k"]))
w = csv.writer(open("c.csv", "w", newline=""))
[w.writerow([i, "a,b", 'q"']) for i in range(500)]
del w
print(len(list(csv.reader(open("c.csv", newline="")))))
array.array("d", range(50_000)).tofile(open("ar", "wb"))
a = array.array("d")
a.fromfile(open("ar", "rb"), 50_000)
print(sum(a))
marshal.dump([1, "x"], open("ma", "wb"))
print(marshal.load(open("ma", "rb")))
with shelve.open("sh", "n") as s:
    s["k"] = [1, 2]
    s["l"] = "v"
with shelve.open("sh") as s:
    print(sorted(s.items()))
    [os.unlink(x) for x in os.listdir(".") if x.startswith("sh")]
d = dbm.dumb.open("du", "n")
d[b"a"] = b"1"
d.close()
print(dbm.dumb.open("du")[b"a"])
cp = configparser.ConfigParser()
cp["s"] = {"k": "v"}
cp.write(open("ini", "w"))
cp = configparser.ConfigParser()
cp.read("ini")
print(cp["s"]["k"])
log = logging.getLogger()
h = logging.FileHandler("app.log")
log.addHandler(h)
log.warning("logged %d", 1)
log.warning("again")
h.close()
log.removeHandler(h)
print(get("app.log"))
from logging.handlers import RotatingFileHandler

h = RotatingFileHandler("rot.log", maxBytes=200, backupCount=3)
log.addHandler(h)
[log.warning("message %d", i) for i in range(60)]
log.removeHandler(h)
h.close()
print(sorted(x for x in os.listdir(".") if x.startswith("rot")), get("rot.log")[-12:])
put("m.py", b"value = 42\ndef f(): return __file__\n")
sys.path.insert(0, ".")
import m

print(m.value, os.path.basename(m.f()))
os.makedirs("pkg")
put("pkg/__init__.py", b"from .sub import x\n")
put("pkg/sub.py", b"x = 7\n")
importlib.invalidate_caches()
import pkg

print(pkg.x)
print(py_compile.compile("m.py", "m.pyc", invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))
print(linecache.getline("m.py", 1))
exec(compile(open("m.py").read(), "m.py", "exec"))
print(value)
zipfile.ZipFile("mods.zip", "w").writestr(zipfile.ZipInfo("inzip.py"), "y = 9\n")
sys.path.insert(0, "mods.zip")
import inzip

print(inzip.y)
with fileinput.input("m.py", inplace=True, backup=".orig") as f:
    for line in f:
        print(line.replace("42", "43"), end="")
print(get("m.py")[:10], get("m.py.orig")[:10])
print(hashlib.file_digest(open("ar", "rb"), "sha256").hexdigest()[:16])
codecs.open("u16", "w", "utf-16").write("é")
print(get("u16"))
wv = wave.open("w.wav", "wb")
wv.setnchannels(1)
wv.setsampwidth(2)
wv.setframerate(8000)
wv.writeframes(data(4000))
wv.close()
print(wave.open("w.wav").getnframes())
fd = os.open("m.py", os.O_RDWR)
print(select.select([fd], [fd], [], 0) == ([fd], [fd], []))
p = select.poll()
p.register(fd, select.POLLIN | select.POLLOUT)
print(p.poll(0)[0][1])
say("epoll", lambda: select.epoll().register(fd))
a, b = socket.socketpair()
socket.send_fds(a, [b"fd"], [fd])
msg, fds, _, _ = socket.recv_fds(b, 10, 1)
os.lseek(fd, 2, 0)
print(msg, os.read(fds[0], 5), os.lseek(fd, 0, 1))
print(a.sendfile(open("m.py", "rb")), b.recv(1000) == get("m.py"))
r, wp = os.pipe()
os.write(wp, b"pipe stays")
print(os.read(r, 20))
me = os.memfd_create("x")
os.write(me, b"memfd")
print(os.pread(me, 9, 0))
s = socket.socket(socket.AF_UNIX)
os.chdir(os.environ["OUT"])
s.bind("sock")
s.listen(1)
c = socket.socket(socket.AF_UNIX)
c.connect("sock")
c.send(b"hi")
print(s.accept()[0].recv(5))
os.unlink("sock")
os.chdir(os.environ["ROOT"] + "/case")
