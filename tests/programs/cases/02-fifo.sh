# Named pipes: made, listed, copied, archived, and spoken through.
mkfifo p
mkfifo -m 600 q
mknod r p
mkfifo p
echo $?
stat -c '%F %a %s %n' p q r
ls -F
ls --color=always p
test -p p && echo "a pipe"
find . -type p | sort
(echo through >p) & cat p
wait
(cat p >out) & seq 3 >p
wait
cat out
(for i in 1 2 3; do echo $i; done >p) & while read -r x; do echo "<$x>"; done <p
wait
exec 3<>p
echo kept >&3
read -r x <&3
echo $x
exec 3<&-
cp -a p copy
cp -r q copy2
stat -c '%F %n' copy copy2
tar cf t.tar p q
rm p q
tar xf t.tar
stat -c '%F %n' p q
mv p moved
ln moved hard
stat -c '%F %h %n' moved hard
mv moved "$OUT/"
stat -c %F "$OUT/moved"
mkfifo "$OUT/out"
(echo out >"$OUT/out") & cat "$OUT/out"
wait
python3 - <<'END'
import os, select
d = os.open(".", os.O_RDONLY)
os.mkfifo("at", 0o640, dir_fd=d)
r = os.open("at", os.O_RDONLY | os.O_NONBLOCK)
w = os.open("at", os.O_WRONLY)
os.write(w, b"nonblock")
print(select.select([r], [], [], 1)[0] == [r], os.read(r, 99), oct(os.fstat(r).st_mode))
try: os.open("q", os.O_WRONLY | os.O_NONBLOCK)
except OSError as e: print(os.strerror(e.errno))
print(os.path.samestat(os.fstat(r), os.stat("at")), os.path.samestat(os.fstat(os.dup(w)), os.stat("at")), os.path.samestat(os.stat(r), os.lstat("at")))
try: os.lseek(r, 0, 0)
except OSError as e: print(os.strerror(e.errno))
END
(echo copied >q) & cp --copy-contents q copied; wait; cat copied; rm copied
rm -f t.tar
unlink hard
rm q r
ls
