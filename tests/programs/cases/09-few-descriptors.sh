# Limits on open files that leave FLAC no numbers of its own: the same number of files can be opened as elsewhere.
for i in $(seq 40); do seq $i 40 400 | sort >f$i; done
sort f* >all
for n in 6 7 8 10 16; do
    # Its temporary files lie here, too: they are removed while it has used up its descriptors.
    (ulimit -n $n; TMPDIR=$PWD sort -m f* | cmp - all && echo "merged with $n")
done
(
    ulimit -n 6
    cat f1 f2 | wc -l
    cp f1 copy
    cmp f1 copy && echo copied
    # A child of a child.
    bash -c 'cat f1 >again; cmp f1 again && echo again'
    dd if=f1 of=d bs=3 status=none
    cmp f1 d && echo dd
    awk 'END { print NR }' f3
)
cat >t.py <<'END'
import os, resource, subprocess

resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
files = []
try:
    while True:
        files.append(open("f1"))
except OSError as e:
    print(e.strerror, len(files))
for file in files[:6]:
    file.close()
print(subprocess.run(["cat", "f2"], stdout=subprocess.PIPE).stdout[:10])
if os.fork() == 0:
    print(open("f2").read()[:5])
    os.rename("f2", "g2")
    os._exit(0)
os.wait()
print(os.path.exists("g2"))
# Raised by hand, as far as it goes.
pid = os.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", "ulimit -n; cat g2 | wc -l; no-such-program"])
print(os.waitpid(pid, 0)[1] >> 8)
END
python3 t.py
sh -c 'ulimit -S -n 8; exec cat f3' | wc -l
sh -c 'ulimit -S -n 8; exec sh -c "ulimit -S -n 30; cat f3 | wc -l"'
