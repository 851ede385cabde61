# A server that forks and gives up its privileges goes on with its files, though it may not open the pool any more.
import errno, os


def show(name, call):
    try:
        print(name, call(), flush=True)
    except OSError as e:
        print(name, errno.errorcode[e.errno], flush=True)


os.mkdir("public", 0o755)
os.mkdir("own", 0o755)
for path, mode in [("public/readable", 0o644), ("public/secret", 0o600), ("own/log", 0o644)]:
    with open(path, "w") as file:
        file.write(path)
    os.chmod(path, mode)
if os.getuid() == 0:
    os.chown("own", 65534, 65534)
    os.chown("own/log", 65534, 65534)
held = os.open("public/secret", os.O_RDWR)
for effective in [True, False]:
    pid = os.fork()
    if pid == 0:
        if os.getuid() == 0 and effective:
            os.seteuid(65534)
        elif os.getuid() == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        show("read", lambda: open("public/readable").read())
        show("append", lambda: open("own/log", "a").write("more"))
        show("content", lambda: open("own/log").read())
        show("make", lambda: os.mkdir("own/made"))
        show("rename", lambda: os.rename("own/made", "own/moved"))
        show("remove", lambda: os.rmdir("own/moved"))
        # Until the index, the log and the pool have grown.
        names = ["own/%d%s" % (i, "n" * 200) for i in range(4000)]
        show("many", lambda: len([os.mkdir(name) for name in names] + [os.rmdir(name) for name in names]))
        show("large", lambda: open("own/large", "wb").write(b"x" * (24 << 20)))
        show("durable", lambda: os.fsync(os.open("own/large", os.O_RDWR)))
        show("gone", lambda: os.unlink("own/large"))
        show("list", lambda: sorted(os.listdir("own")))
        show("held", lambda: os.pwrite(held, b"x", 0))
        show("size", lambda: os.stat("public/secret").st_size)
        if os.stat("public").st_uid == 0:
            show("secret", lambda: open("public/secret").read())
            show("access", lambda: os.access("public/secret", os.R_OK) == effective)
            show("foreign", lambda: os.unlink("public/readable"))
        os._exit(0)
    print(os.waitpid(pid, 0)[1], flush=True)
