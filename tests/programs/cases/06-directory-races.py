# Processes that create, remove, rename and link in one directory: exactly one winner each, nothing lost.
import os, sys

sys.path.insert(0, os.environ["LIB"])
from say import get, put


def together(count, work):
    """Runs work(0..count) in processes that start at once; returns their exit codes."""
    r, w = os.pipe()
    pids = []
    sys.stdout.flush()
    for who in range(count):
        pid = os.fork()
        if pid == 0:
            os.close(w)
            os.read(r, 1)
            code = 99
            try:
                code = work(who) or 0
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(r)
    os.close(w)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def wins(call):
    def work(who):
        won = 0
        for i in range(60):
            try:
                call(who, i)
                won += 1
            except OSError:
                pass
        return won

    return work


os.mkdir("d")


def create(who):
    for i in range(200):
        put("d/p%d-%d" % (who, i), b"%d" % who)


print(
    "create",
    together(8, create),
    len(os.listdir("d")),
    len(set(os.listdir("d"))),
    all(get("d/" + n) == n[1:2].encode() for n in os.listdir("d")),
)


def remove(who):
    for i in range(200):
        os.unlink("d/p%d-%d" % (who, i))


print("remove", together(8, remove), os.listdir("d"))
print("mkdir", sum(together(6, wins(lambda who, i: os.mkdir("d/m%d" % i)))), len(os.listdir("d")))
print("rmdir", sum(together(6, wins(lambda who, i: os.rmdir("d/m%d" % i)))), len(os.listdir("d")))


def excl(who, i):
    os.close(os.open("d/x%d" % i, os.O_CREAT | os.O_EXCL))


print("O_EXCL", sum(together(6, wins(excl))), len(os.listdir("d")))
print("unlink", sum(together(6, wins(lambda who, i: os.unlink("d/x%d" % i)))), len(os.listdir("d")))
put("src", b"s")
print("link", sum(together(6, wins(lambda who, i: os.link("src", "d/l%d" % i)))), os.stat("src").st_nlink)
print("symlink", sum(together(6, wins(lambda who, i: os.symlink("src", "d/s%d" % i)))), len(os.listdir("d")))
print(
    "rename",
    sum(together(6, wins(lambda who, i: os.rename("d/l%d" % i, "d/r%d-%d" % (who, i))))),
    sum(n.startswith("r") for n in os.listdir("d")),
    os.stat("src").st_nlink,
)
for n in os.listdir("d"):
    os.unlink("d/" + n)
print("links left", os.stat("src").st_nlink)


def over(who):
    for i in range(100):
        put("d/t%d" % who, b"%d" % who * 5000)
        os.rename("d/t%d" % who, "d/target")


print("rename over", together(6, over), os.listdir("d"), len(get("d/target")), len(set(get("d/target"))))


def mix(who):
    for i in range(150):
        name = "d/n%d" % ((who * 7 + i) % 5)
        try:
            if i % 3 == 0:
                put(name, b"x" * i)
            elif i % 3 == 1:
                os.rename(name, "d/n%d" % (i % 5))
            else:
                os.unlink(name)
        except FileNotFoundError:
            pass


print("mix", together(6, mix))
names = os.listdir("d")
print(all(len(get("d/" + n)) < 5001 for n in names), len(names) == len(set(names)))
for n in names:
    os.unlink("d/" + n)
os.rmdir("d")
os.makedirs("a/b")
os.makedirs("c")


def swap(who):
    for i in range(100):
        try:
            if who % 2:
                os.rename("a/b", "c/b")
            else:
                os.rename("c/b", "a/b")
        except FileNotFoundError:
            pass


print(
    "move a directory",
    together(4, swap),
    os.path.isdir("a/b") + os.path.isdir("c/b"),
    os.stat("a").st_nlink + os.stat("c").st_nlink,
)
os.rmdir("a/b" if os.path.isdir("a/b") else "c/b")


def tree(who):
    import shutil

    for i in range(10):
        os.makedirs("w%d/x/y/z" % who)
        put("w%d/x/y/z/f" % who, b"f")
        shutil.rmtree("w%d" % who)


print("trees", together(4, tree), sorted(os.listdir(".")))


def loop(who):
    for i in range(200):
        try:
            os.rename("p/q", "p2") if who else os.rename("p2", "p/q")
        except OSError:
            pass


os.makedirs("p/q")
print("into each other", together(2, loop), os.path.isdir("p/q") + os.path.isdir("p2"))
os.rmdir("p2" if os.path.isdir("p2") else "p/q")
