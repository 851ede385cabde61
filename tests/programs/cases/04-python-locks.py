# fcntl and flock locks exclude other processes, and end with close and death.
import fcntl, os, signal, struct, sys, time

sys.path.insert(0, os.environ["LIB"])
from say import get, put, say

put("f", b"x" * 1000)
f = open("f", "r+b")
EX, SH, UN, NB = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN, fcntl.LOCK_NB


def child(call):
    """Runs call in a process of its own and returns what it printed."""
    r, w = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            out = str(call())
        except OSError as e:
            out = "!" + os.strerror(e.errno)
        os.write(w, out.encode())
        os._exit(0)
    os.close(w)
    out = os.read(r, 1000).decode()
    os.waitpid(pid, 0)
    os.close(r)
    return out


def fl(mode):
    return lambda: fcntl.flock(open("f", "r+b"), mode)


def lk(mode, *range):
    return lambda: fcntl.lockf(open("f", "r+b"), mode, *range)


fcntl.flock(f, EX)
print("flock", child(fl(EX | NB)), child(fl(SH | NB)))
fcntl.flock(f, SH)
print(child(fl(EX | NB)), child(fl(SH | NB)))
fcntl.flock(f, UN)
print(child(fl(EX | NB)))
fcntl.flock(f, EX)
print("inherited", child(lambda: fcntl.flock(f, EX | NB)))
g = os.dup(f.fileno())
f.close()
print("dup holds", child(fl(SH | NB)))
os.close(g)
print("closed", child(fl(EX | NB)))
f = open("f", "r+b")
h = open("f", "rb")
fcntl.flock(f, EX)
say("same process", fcntl.flock, h, EX | NB)
fcntl.flock(f, UN)
say("read-only exclusive", fcntl.flock, h, EX | NB)
h.close()
fcntl.lockf(f, EX, 100, 0)
print("fcntl", child(lk(EX | NB, 10, 0)), child(lk(EX | NB, 10, 100)), child(lk(EX | NB, 0, 500)), child(lk(EX | NB, 0, 0)))
fcntl.lockf(f, UN, 50, 25)
print(child(lk(EX | NB, 50, 25)), child(lk(EX | NB, 1, 24)), child(lk(EX | NB, 1, 75)), child(lk(EX | NB, 1, 99)))
print("child does not inherit", child(lambda: fcntl.lockf(f, EX | NB, 1, 0)))
open("f").close()
print("any close releases", child(lk(EX | NB)))
fcntl.lockf(f, SH, 0, 0, 0) if True else 0
r = open("f", "rb")
say("exclusive on read-only", fcntl.lockf, r, EX | NB)
say("shared on write-only", fcntl.lockf, open("f", "ab"), SH | NB)


def getlk(kind):
    fmt = "hhqqi4x"
    out = fcntl.fcntl(f, fcntl.F_GETLK, struct.pack(fmt, kind, 0, 0, 0, 0))
    t, wh, start, length, pid = struct.unpack(fmt, out)
    return t, start, length, pid


fcntl.lockf(f, EX, 10, 20)
me = os.getpid()
c = child(lambda: (lambda t: (t[0], t[1], t[2], t[3] == me))(getlk(fcntl.F_WRLCK)))
print("getlk", c, getlk(fcntl.F_WRLCK)[0])
fcntl.lockf(f, UN)


def hold(lock, seconds=30):
    r, w = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        file = open("f", "r+b")
        lock(file)
        os.write(w, b"x")
        time.sleep(seconds)
        os._exit(0)
    os.read(r, 1)
    os.close(r)
    os.close(w)
    return pid


for name, lock in ("flock", lambda x: fcntl.flock(x, EX)), ("fcntl", lambda x: fcntl.lockf(x, EX)):
    pid = hold(lock)
    say(name + " held", (fcntl.flock if name == "flock" else fcntl.lockf), f, EX | NB)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    say(name + " after death", (fcntl.flock if name == "flock" else fcntl.lockf), f, EX | NB)
    (fcntl.flock if name == "flock" else fcntl.lockf)(f, UN)
    pid = hold(lock, 0.2)
    t = time.time()
    lock(f)
    print(name, "waited", time.time() - t > 0.05)
    os.waitpid(pid, 0)
    fcntl.flock(f, UN)
    fcntl.lockf(f, UN)
pid = hold(lambda x: fcntl.flock(x, EX))
signal.signal(signal.SIGALRM, lambda *a: (_ for _ in ()).throw(InterruptedError))
signal.setitimer(signal.ITIMER_REAL, 0.1)
say("interrupted", fcntl.flock, f, EX)
os.kill(pid, 9)
os.waitpid(pid, 0)
OFD_GET, OFD_SET, OFD_WAIT = 36, 37, 38


def ofd(file, kind, start=0, length=0):
    return fcntl.fcntl(file, OFD_SET, struct.pack("hhqqi4x", kind, 0, start, length, 0)) and "ok"


a, b = open("f", "r+b"), open("f", "r+b")
say("ofd", ofd, a, fcntl.F_WRLCK)
say("ofd other", ofd, b, fcntl.F_WRLCK)
say("ofd read", ofd, b, fcntl.F_RDLCK)
print(child(lambda: ofd(a, fcntl.F_WRLCK)), child(lambda: ofd(open("f", "r+b"), fcntl.F_RDLCK)))
say("posix against ofd", fcntl.lockf, f, EX | NB)
a.close()
say("ofd after close", ofd, b, fcntl.F_WRLCK)
b.close()
n = 4
put("counter", b"0")
pids = []
for kind in fcntl.flock, fcntl.lockf:
    pids = []
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            with open("counter", "r+") as c:
                for _ in range(100):
                    kind(c, EX)
                    c.seek(0)
                    v = int(c.read())
                    c.seek(0)
                    c.write(str(v + 1))
                    c.flush()
                    kind(c, UN)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print("counter", get("counter"))
print(
    fcntl.fcntl(f, fcntl.F_GETFD),
    fcntl.fcntl(f, fcntl.F_GETFL) & 3,
    oct(fcntl.fcntl(os.open("f", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK), fcntl.F_GETFL) & ~0o100000),
)
d = fcntl.fcntl(f, fcntl.F_DUPFD, 50)
print(d >= 50, fcntl.fcntl(d, fcntl.F_GETFD))
e = fcntl.fcntl(f, fcntl.F_DUPFD_CLOEXEC, 60)
print(e >= 60, fcntl.fcntl(e, fcntl.F_GETFD))
w = os.open("f", os.O_RDWR)
fcntl.fcntl(w, fcntl.F_SETFL, os.O_APPEND)
os.write(w, b"appended")
print(get("f")[-8:], os.path.getsize("f"))
fcntl.fcntl(w, fcntl.F_SETFL, 0)
os.lseek(w, 0, 0)
os.write(w, b"start")
print(get("f")[:6], fcntl.fcntl(w, fcntl.F_SETFD, 1), fcntl.fcntl(w, fcntl.F_GETFD))
