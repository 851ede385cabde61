# subprocess, fork, exec and multiprocessing share files, offsets and the working directory.
import multiprocessing, os, subprocess, sys, threading

sys.path.insert(0, os.environ["LIB"])
from say import data, get, put, say


def run(*args, **kw):
    return subprocess.run(args, **kw)


put("in", b"line 1\nline 2\nline 3\n")
os.mkdir("d")
put("d/x", b"in d\n")
with open("in") as i, open("out", "w") as o:
    run("cat", stdin=i, stdout=o)
print(get("out"))
with open("out", "a") as o:
    o.write("parent\n")
    o.flush()
    run("echo", "child", stdout=o)
    o.write("parent again\n")
print(get("out"))
print(run("cat", "in", capture_output=True).stdout)
print(run("sh", "-c", "cat x; pwd >where", cwd="d", capture_output=True).stdout, get("d/where")[len(os.environ["ROOT"]) :])
print(run("tr", "a-z", "A-Z", input=b"piped", capture_output=True).stdout)
with open("both", "w") as b:
    run("sh", "-c", "echo out; echo err >&2; echo out", stdout=b, stderr=subprocess.STDOUT)
print(get("both"))
fd = os.open("in", 0)
print(run("sh", "-c", "read a <&%d; echo $a" % fd, pass_fds=[fd], capture_output=True).stdout, os.read(fd, 7))
print(run("sh", "-c", "cat <&%d" % fd, close_fds=True, capture_output=True).returncode != 0)
os.set_inheritable(fd, True)
os.lseek(fd, 0, 0)
print(run("head", "-n1", "/dev/fd/%d" % fd, close_fds=False, capture_output=True).stdout)
print(run("cat", stdin=open("in"), capture_output=True).stdout)
i = open("in", "rb")
i.readline()
i.seek(7)
print(run("cat", stdin=i, capture_output=True).stdout)
run("sh", "-c", "echo replaced >in")
print(get("in"))
print(os.system("cat in >sys; exit 3"), get("sys"))
print(os.popen("cat in").read(), subprocess.getoutput("ls | head -2"), subprocess.check_output("cat <in", shell=True))
print(run("./no", shell=True, capture_output=True).returncode)
say("missing program", run, "./missing")
say("cwd missing", run, "true", cwd="zz")
put("s.sh", b"#!/bin/sh\necho script $0\n")
os.chmod("s.sh", 0o755)
print(
    run("./s.sh", capture_output=True).stdout,
    run("../s.sh", cwd="d", capture_output=True).stdout,
    run(os.path.abspath("s.sh"), capture_output=True).stdout[:6],
)
p1 = subprocess.Popen(["cat", "in"], stdout=subprocess.PIPE)
p2 = subprocess.Popen(["tr", "a-z", "A-Z"], stdin=p1.stdout, stdout=open("tr", "wb"))
p1.stdout.close()
p2.wait(), p1.wait()
print(get("tr"))
fd = os.open("shared", os.O_CREAT | os.O_RDWR | os.O_TRUNC)
for who in "abc":
    pid = os.fork()
    if pid == 0:
        os.write(fd, who.encode() * 3)
        os._exit(ord(who))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.lseek(fd, 0, 1))
os.lseek(fd, 1, 0)
pid = os.fork()
if pid == 0:
    os.lseek(fd, 4, 0)
    os._exit(0)
os.waitpid(pid, 0)
print(os.read(fd, 10), get("shared"))
pid = os.fork()
if pid == 0:
    os.close(fd)
    os._exit(0)
os.waitpid(pid, 0)
print(os.pread(fd, 3, 0))
own = os.open("shared", 0)
pid = os.fork()
if pid == 0:
    os.ftruncate(fd, 5)
    os.chdir("d")
    os.unlink("../shared")
    os._exit(0)
os.waitpid(pid, 0)
print(os.fstat(own).st_size, os.fstat(own).st_nlink, os.path.basename(os.getcwd()))
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.dup2(os.open("in", 0), 0)
    os.dup2(w, 1)
    os.execvp("cat", ["cat"])
os.waitpid(pid, 0)
print(os.read(r, 100))
pid = os.posix_spawn(
    "/bin/cat", ["cat", "in"], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "spawned", os.O_CREAT | os.O_WRONLY, 0o600)]
)
os.waitpid(pid, 0)
print(get("spawned"))
fd = os.open("spawned", os.O_WRONLY | os.O_APPEND)
pid = os.posix_spawnp(
    "sh",
    ["sh", "-c", "echo dup2; echo more >&1"],
    os.environ,
    file_actions=[(os.POSIX_SPAWN_DUP2, fd, 1), (os.POSIX_SPAWN_CLOSE, fd)],
)
os.waitpid(pid, 0)
print(get("spawned"))
c = os.open("cloexec", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
pid = os.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", "echo x >&%d" % c + " 2>/dev/null"])
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0, get("cloexec"))
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        for n in range(3, 200):
            try:
                os.close(n)
            except OSError:
                pass
        put("daemon.part", b"daemon alive")
        os.rename("daemon.part", "daemon")
        os._exit(0)
    os._exit(0)
os.waitpid(pid, 0)
import time

for _ in range(500):
    if os.path.exists("daemon"):
        break
    time.sleep(0.01)
print(get("daemon"))


def work(n):
    put("mp%d" % n, data(100_000, n))
    return sum(get("mp%d" % n))


def reader(q):
    q.put(open("in").read())


for method in "fork", "spawn", "forkserver":
    ctx = multiprocessing.get_context(method)
    if method == "fork":
        with ctx.Pool(4) as pool:
            print(pool.map(work, range(8)) == [sum(data(100_000, n)) for n in range(8)])
        q = ctx.Queue()
        p = ctx.Process(target=reader, args=(q,))
        p.start()
        print(q.get())
        p.join()
results = {}


def thread(n):
    name = "th%d" % n
    for i in range(50):
        put(name, data(20_000, n + i))
        assert get(name) == data(20_000, n + i)
    with open("log", "a") as f:
        f.write("thread %d\n" % n)
    results[n] = True


ts = [threading.Thread(target=thread, args=(n,)) for n in range(4)]
[t.start() for t in ts]
[t.join() for t in ts]
print(len(results), sorted(open("log")))
os.unlink("log")
common = os.open("common", os.O_RDWR | os.O_CREAT | os.O_APPEND)
ts = [threading.Thread(target=lambda n=n: [os.write(common, b"%d" % n * 99 + b"\n") for _ in range(100)]) for n in range(4)]
[t.start() for t in ts]
[t.join() for t in ts]
lines = get("common").split(b"\n")[:-1]
print(len(lines), all(len(set(l)) == 1 and len(l) == 99 for l in lines))
os.unlink("common")
