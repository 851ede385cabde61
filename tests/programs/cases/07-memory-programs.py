# Whole-file reads by python into fresh and reused memory keep their content; copies are independent of their source.
import hashlib, mmap, os, shutil, subprocess, sys
sys.path.insert(0, os.environ["LIB"])
from say import data, get, put

piece = data(1 << 20)
big = b"".join(bytes([i]) + piece for i in range(8))[: 8 << 20]
put("f", big)
a = get("f")
subprocess.run("yes | head -c 8388608 | dd of=f bs=1M conv=notrunc iflag=fullblock status=none", shell=True)
print(a == big, get("f")[:4])
put("f", big)
b = bytearray(8 << 20)
for i in range(10):
    with open("f", "rb", buffering=0) as f:
        n = f.readinto(b)
    print(n, b == big, end=" ")
    b[i * 1000] ^= 255
    b[-1] ^= 255
print(get("f") == big)
m = mmap.mmap(-1, 8 << 20)
with open("f", "rb", buffering=0) as f:
    f.readinto(m)
os.truncate("f", 100)
print(m[:] == big)
with open("g", "wb", buffering=0) as f:
    f.write(m)
m[:] = bytes(len(m))
print(get("g") == big)
shutil.copyfile("g", "h")
with open("g", "r+b") as f:
    f.write(b"changed")
    f.seek(5 << 20)
    f.write(b"x" * 5000)
print(get("h") == big, get("g")[:7], get("g")[5 << 20 : (5 << 20) + 3])
with open("h", "r+b") as f:
    f.seek(1 << 20)
    f.write(bytes(1 << 20))
print(get("g")[1 << 20 : 2 << 20] == big[1 << 20 : 2 << 20])
for tool in "cp h i", "cat h >i", "dd if=h of=i bs=1M status=none", "dd if=h of=i bs=2M status=none", "cp --reflink=auto h i":
    subprocess.run(tool, shell=True, check=True)
    want = get("h")
    subprocess.run("printf changed | dd of=i bs=1 seek=3000000 conv=notrunc status=none", shell=True)
    print(tool, get("h") == want, hashlib.sha256(get("i")).hexdigest()[:16])
    os.unlink("i")
reads = [get("h") for _ in range(5)]
os.unlink("h")
put("again", bytes(8 << 20))
print(len(set(reads)), hashlib.sha256(reads[0]).hexdigest()[:16])
del reads
keep = []
for i in range(12):
    put("n", bytes([i]) * (3 << 20))
    keep.append(get("n"))
print([set(k) == {i} for i, k in enumerate(keep)])
r, w = os.pipe()
keep = get("g")
pid = os.fork()
if pid == 0:
    put("g", bytes(8 << 20))
    os._exit(keep[0] != ord("c"))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), keep[:7], len(keep))
