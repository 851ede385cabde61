# Readers beside a writer see each record whole, and a file that is replaced by rename old or new, never mixed.
import os, sys, time

sys.path.insert(0, os.environ["LIB"])
from say import data, get, put


def start(work, *args):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            ok = work(*args)
        except BaseException as e:
            print("failed:", repr(e))
            sys.stdout.flush()
            ok = False
        os._exit(0 if ok else 1)
    return pid


def end(*pids):
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


put("page", b"a" * 4096)


def overwrite():
    fd = os.open("page", os.O_WRONLY)
    for i in range(3000):
        os.pwrite(fd, bytes([97 + i % 26]) * 4096, 0)
    return True


def whole():
    fd = os.open("page", os.O_RDONLY)
    return all(len(os.pread(fd, 4096, 0)) == 4096 for _ in range(3000))


print("overwriting", end(start(overwrite), start(whole), start(whole)), len(set(get("page"))))

put("conf", b"0" * 100_000)


def replace():
    for i in range(300):
        put("conf.tmp", b"%d" % (i % 10) * 100_000)
        os.rename("conf.tmp", "conf")
    put("stop", b"")
    return True


def same():
    ok = True
    while not os.path.exists("stop"):
        c = get("conf")
        ok = ok and len(c) == 100_000 and len(set(c)) == 1
    return ok


print("renaming", end(start(replace), start(same), start(same)))
os.unlink("stop")

open("log", "w").close()


def grow():
    with open("log", "ab", buffering=0) as f:
        for i in range(3000):
            f.write(b"%07d\n" % i)
    return True


def follow():
    with open("log", "rb", buffering=0) as f:
        got, deadline = b"", time.time() + 30
        while len(got) < 24_000 and time.time() < deadline:
            got += f.read(1000)
    return got == b"".join(b"%07d\n" % i for i in range(3000))


print("following", end(start(follow), start(follow), start(grow)))


def shrink():
    fd = os.open("size", os.O_RDWR | os.O_CREAT)
    for i in range(500):
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"z" * 20_000, 0)
        os.ftruncate(fd, 10_000)
        os.ftruncate(fd, 30_000)
    put("stop", b"")
    return True


def sizes():
    ok = True
    while not os.path.exists("stop"):
        if os.path.exists("size"):
            c = get("size")
            ok = ok and len(c) <= 30_000 and set(c) <= {0, ord("z")}
    return ok


print("truncating", end(start(shrink), start(sizes), start(sizes)))
os.unlink("stop")

big = data(4 << 20)
put("old", big)
fd = os.open("old", os.O_RDONLY)
put("new", b"n")
os.rename("new", "old")
print("the replaced file stays", os.read(fd, 5 << 20) == big, get("old"))
os.close(fd)


def disjoint(who):
    fd = os.open("parts", os.O_RDWR | os.O_CREAT)
    for i in range(200):
        os.pwrite(fd, bytes([65 + who]) * 1000, (i * 4 + who) * 1000)
    return True


print(
    "disjoint parts",
    end(*[start(disjoint, who) for who in range(4)]),
    get("parts") == b"".join(bytes([65 + i % 4]) * 1000 for i in range(800)),
)


def pages(who):
    fd = os.open("pages", os.O_RDWR | os.O_CREAT)
    for i in range(100):
        os.pwrite(fd, bytes([65 + who]) * 4096, (i * 4 + who) * 4096)
    return True


print(
    "disjoint pages",
    end(*[start(pages, who) for who in range(4)]),
    get("pages") == b"".join(bytes([65 + i % 4]) * 4096 for i in range(400)),
)


def bytes_(who):
    fd = os.open("bytes", os.O_RDWR | os.O_CREAT)
    for i in range(1000):
        os.pwrite(fd, bytes([65 + who]), i * 4 + who)
    return True


print("neighbouring bytes", end(*[start(bytes_, who) for who in range(4)]), get("bytes") == b"ABCD" * 1000)
r, w = os.pipe()


def wait_and_read():
    os.read(r, 1)
    return get("handed") == b"over"


p = start(wait_and_read)
put("handed", b"over")
os.write(w, b"x")
print("seen at once", end(p))
for i in range(20):
    p = start(lambda: not put("by child", b"%d" % i))
    end(p)
    if get("by child") != b"%d" % i:
        print("not seen", i)


def listing():
    for _ in range(200):
        names = os.listdir("dir")
        if not set("stay%d" % i for i in range(20)) <= set(names) or len(names) != len(set(names)):
            return False
    return True


def churn():
    for i in range(300):
        put("dir/go%d" % (i % 7), b"")
        os.unlink("dir/go%d" % (i % 7))
    return True


os.mkdir("dir")
[put("dir/stay%d" % i, b"") for i in range(20)]
print("listing", end(start(churn), start(listing), start(listing)))
