# An open file stays itself through exec, messages and duplicates, however its descriptor was made; a program that closes or takes over every descriptor goes on.
import array, os, socket, subprocess, sys

names = [f"f{i}" for i in range(5)]
for name in names:
    with open(name, "w") as f:
        f.write(name * 3 + "\n")

# Several at once, at different offsets, through exec and through a chain of programs with an empty environment between.
fds = [os.open(name, os.O_RDONLY) for name in names]
for i, fd in enumerate(fds):
    os.lseek(fd, i, os.SEEK_SET)
    os.set_inheritable(fd, True)
code = "import os,sys; print([os.read(int(n), 100) for n in sys.argv[1:]])"
args = [str(fd) for fd in fds]
subprocess.run([sys.executable, "-c", code, *args], close_fds=False)
print("offsets after the child's reads", [os.lseek(fd, 0, os.SEEK_CUR) for fd in fds])
for fd in fds:
    os.lseek(fd, 2, os.SEEK_SET)
keep = {k: os.environ[k] for k in ("LD_PRELOAD", "FLAC_ROOT", "FLAC_POOL") if k in os.environ}
words = ["env", *[f"{k}={v}" for k, v in keep.items()], sys.executable, "-c", code, *args]
subprocess.run(["env", "-i", "PATH=" + os.environ["PATH"], *words], close_fds=False)
# Not inheritable: the child must not have it.
os.set_inheritable(fds[0], False)
probe = "import os,sys\ntry: os.fstat(int(sys.argv[1])); print('there')\nexcept OSError as e: print(e.errno)"
subprocess.run([sys.executable, "-c", probe, args[0]], close_fds=False)

# In a message, after which the sender closes its own.
a, b = socket.socketpair()
if os.fork() == 0:
    a.close()
    _, parts, _, _ = b.recvmsg(1, socket.CMSG_LEN(4))
    fd = array.array("i", parts[0][2])[0]
    os.lseek(fd, 0, os.SEEK_SET)
    print("received", os.read(fd, 100), flush=True)
    os._exit(0)
b.close()
fd = os.open("f3", os.O_RDONLY)
a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
os.close(fd)
os.wait()

# Duplicates share an offset; two opens don't.
x, y = os.open("f1", os.O_RDONLY), os.open("f1", os.O_RDONLY)
z = os.dup(x)
os.read(x, 3)
print("shared", os.lseek(z, 0, os.SEEK_CUR), "own", os.lseek(y, 0, os.SEEK_CUR))
os.dup2(y, z)
print("now", os.lseek(z, 0, os.SEEK_CUR))

# Every number is closed, then every number is taken.
sys.stdout.flush()
if os.fork() == 0:
    os.closerange(3, 4096)
    fd = os.open("f2", os.O_RDONLY)
    os.write(1, b"after closing all: %d %s" % (fd, os.read(fd, 100)))
    os._exit(0)
os.wait()
if os.fork() == 0:
    null = os.open("/dev/null", os.O_RDONLY)
    for number in range(10, 1000):
        os.dup2(null, number)
    fd = os.open("f4", os.O_RDONLY)
    os.write(1, b"after taking all: %s" % os.read(fd, 100))
    os._exit(0)
print(os.wait()[1])
