# Two and eight processes append records below 4 KiB to one file: none lost, none torn.
cat >a.py <<'END'
import os, sys
who, count = int(sys.argv[1]), int(sys.argv[2])
fd = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
for n in range(count):
    length = 20 + (who * 7919 + n * 104729) % 4000
    record = (b"<%d:%d:" % (who, n)).ljust(length, b"%d" % (who % 10)) + b">\n"
    if os.write(fd, record) != len(record): print("short write")
END
cat >check.py <<'END'
import re, sys
procs, count = int(sys.argv[1]), int(sys.argv[2])
seen = {who: [] for who in range(procs)}
for line in open(sys.argv[3], "rb"):
    m = re.fullmatch(rb"<(\d+):(\d+):(\d*)>\n", line)
    if not m: print("torn:", line[:60]); continue
    who, n = int(m[1]), int(m[2])
    if len(line) - 2 != 20 + (who * 7919 + n * 104729) % 4000 or set(m[3]) - {ord("0") + who % 10}: print("damaged:", line[:60])
    seen[who].append(n)
for who in seen: print(who, len(seen[who]), seen[who] == list(range(count)))
END
for procs in 2 8; do
    for who in $(seq 0 $((procs - 1))); do python3 a.py $who 400 log$procs & done
    wait
    python3 check.py $procs 400 log$procs
    wc -c <log$procs
    rm log$procs
done
for who in 1 2 3 4; do (for i in $(seq 100); do echo "shell $who $i" >>sh; done) & done
wait
sort sh | sha256sum
wc -l <sh
rm sh
exec 5>>shared
for who in 1 2 3; do (for i in $(seq 100); do echo "inherited $who $i" >&5; done) & done
wait
sort shared | sha256sum
exec 5>one
for who in 1 2 3; do (for i in $(seq 100); do echo "one offset $who $i" >&5; done) & done
wait
exec 5>&-
wc -l <one
sort one | sha256sum
rm one shared
