# A writer killed in the middle leaves what it wrote, its locks go, and others carry on.
for i in 1 2 3 4 5; do
    python3 -c '
import fcntl, os, sys
f = open("k", "ab", 0); fcntl.flock(f, fcntl.LOCK_EX); open("ready", "w").close()
while True: f.write(b"x" * 100 + b"\n")
' &
    while [ ! -e ready ] || [ ! -s k ]; do sleep 0.01; done
    sleep 0.05
    kill -9 $!
    wait $! 2>/dev/null
    rm ready
    timeout 10 flock k echo "lock free"
    # The kernel may stop in the midst of a record, at the end of a page: it is then the end of the file, and later part of the next line.
    awk 'short || /[^x]/ || length > 200 {bad++} {short = length < 100} END {print bad + 0, (NR > 0)}' k
done 2>/dev/null
rm k
# The killed shell's last command lives on for a moment: the end of descriptor 9 says that it is over too.
killed() {
    sleep 0.1
    kill -9 $p
    wait $p 2>/dev/null
    exec 9>&-
    wait $gone
}
for i in 1 2 3; do
    exec 9> >(cat >/dev/null); gone=$!
    (while :; do echo a >m1; mv m1 m2; mv m2 m3; rm m3; mkdir e; rmdir e; done) 2>/dev/null & p=$!
    killed
    timeout 10 rm -rf m1 m2 m3 e
    ls
done 2>/dev/null
seq 100000 >big
for i in 1 2 3; do
    exec 9> >(cat >/dev/null); gone=$!
    (while :; do cp big copy; done) & p=$!
    killed
    timeout 10 cp big copy2 && cmp big copy2 && echo whole
done 2>/dev/null
rm -f copy
timeout 10 sha256sum big
