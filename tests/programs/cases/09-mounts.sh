# Where a file's device is mounted, as programs look it up in the table of mounts.
# needs: python3
df -t nosuchtype . >/dev/null 2>&1
echo $?
df . >/dev/null && echo found
cat >t.py <<'END'
import os

device = os.stat(".").st_dev
with open("/proc/self/mountinfo") as table:
    lines = [line.split() for line in table]
mine = [line for line in lines if line[2] == f"{os.major(device)}:{os.minor(device)}"]
print(len(mine) > 0, len({line[0] for line in lines}) == len(lines))
point = mine[-1][4]
print(os.path.ismount(point), os.getcwd().startswith(point), mine[-1][1] in {line[0] for line in lines})
for name in ["/proc/mounts", "/proc/self/mounts"]:
    print(any(line.split()[1] == point for line in open(name)))
fd = os.open("/proc/self/mountinfo", os.O_RDONLY)
try:
    os.write(fd, b"x")
except OSError as e:
    print(e.strerror)
import select

waiting = select.epoll()
waiting.register(fd, select.EPOLLERR | select.EPOLLPRI)
print(waiting.poll(0), os.get_inheritable(fd), len(os.read(fd, 100)))
END
python3 t.py
grep -q " $(stat -c %m .) " /proc/mounts && echo listed
