# A process that executes a program keeps what it hands on, has given up the rest when the program runs, and leaves nothing behind: not in a thousand commands either.
import fcntl, os, signal, subprocess, time

def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "never"
        time.sleep(0.01)

# Executes cat, and returns when that has answered: what a program does before its `main` is done then.
def start(prepare):
    (from_us, to_it), (from_it, to_us) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            prepare()
            os.dup2(from_us, 0)
            os.dup2(to_us, 1)
            os.execv("/bin/cat", ["cat"])
        finally:
            os._exit(9)
    os.close(from_us)
    os.close(to_us)
    os.write(to_it, b"?")
    assert os.read(from_it, 1) == b"?"
    return pid

def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

def can_lock(path, how=fcntl.LOCK_EX):
    with open(path, "r+") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            fcntl.lockf(file, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False

with open("lock", "w") as file:
    file.write("x")

# Closed by exec: free when the program runs, though it uses no file of ours.
def lock_and_keep(inheritable):
    def prepare():
        fd = os.open("lock", os.O_RDWR)
        os.set_inheritable(fd, inheritable)
        fcntl.flock(fd, fcntl.LOCK_EX)
    return prepare

pid = start(lock_and_keep(False))
print("after exec", can_lock("lock"))
end(pid)
pid = start(lock_and_keep(True))
print("handed on", can_lock("lock"))
end(pid)
print("gone", can_lock("lock"))

# A record lock is the process's, whatever it runs.
def record():
    fd = os.open("lock", os.O_RDWR)
    os.set_inheritable(fd, True)
    fcntl.lockf(fd, fcntl.LOCK_EX)

pid = start(record)
print("record", can_lock("lock"))
end(pid)
print("gone", can_lock("lock"))

# The space of a file that only the old image had open is free again.
def free():
    s = os.statvfs(".")
    return s.f_bavail * s.f_frsize

before = free()

def big():
    fd = os.open("big", os.O_CREAT | os.O_RDWR)
    os.unlink("big")
    for _ in range(64):
        os.write(fd, bytes(1 << 20))
    os.fsync(fd)

pid = start(big)
wait_until(lambda: free() > before - (32 << 20))
end(pid)
print("space")

# An exec that fails changes nothing; programs that execute others hand on what they did not use.
try:
    os.execv("/nothing/here", ["x"])
except FileNotFoundError:
    print("failed", open("lock").read())
print(subprocess.run("exec /bin/sh -c 'exec /bin/sh -c \"exec /bin/cat lock\"'", shell=True, capture_output=True).stdout)
os.mkdir("d")
print(subprocess.run("cd d; /bin/sh -c '/bin/sh -c \"cat ../lock; /bin/true; cat ../lock; pwd -P | sed s,.*/,,\"'", shell=True, capture_output=True).stdout)

# A working directory that is removed meanwhile.
print(subprocess.run("cd d; rmdir ../d; /bin/true; /bin/ls; /bin/true; exec /bin/ls -a", shell=True, capture_output=True).stdout)

# More commands than processes can use a pool at once; and many at once.
script = "i=0; while [ $i -lt 1200 ]; do /bin/true || exit 7; i=$((i + 1)); done; cat lock"
print(subprocess.run(script, shell=True, capture_output=True))
script = "for i in 1 2 3 4 5 6 7 8 9; do (/bin/sleep 0.2; cat lock) & done; wait; cat lock"
print(subprocess.run(script, shell=True, capture_output=True).stdout)

# What has not used a file here yet, is part of it all the same: it lists the mount, it syncs, and it may become another user first.
print(subprocess.run("grep -q \" $(stat -c %m .) \" /proc/mounts && echo listed", shell=True, capture_output=True).stdout)
