# dash, and tools of util-linux and procps, meet files in FLAC as bash does.
# needs: dash flock
cat >s <<'END'
echo one >f; echo two >>f; while read -r x; do echo "<$x>"; done <f
cat <<E
here $(cat f | wc -l)
E
exec 3>g; echo three >&3; exec 3>&-; cat g; set -C; echo x >f; echo "noclobber $?"
END
dash s
dash -c 'set -- *; echo $#; for i in *; do test -f "$i" && echo "$i"; done; cd ..; pwd' | sed "s|$ROOT||"
dash <s 2>&1 | tail -2
sh -c '. ./s' 2>&1 | head -1
flock lock -c 'echo locked >l; cat l'
flock -n lock true
echo $?
(flock 9; echo inside >>l) 9>lock
# Holds the lock until told to let it go.
mkfifo "$OUT/held" "$OUT/go"
hold() {
    flock "$@" lock sh -c "echo >$OUT/held; read -r _ <$OUT/go" &
    read -r _ <"$OUT/held"
}
hold
flock -n lock echo never
echo $?
(sleep 0.1; echo >"$OUT/go") &
flock -w 60 lock echo waited
wait
hold -s
flock -sn lock echo shared
flock -n lock echo never
echo >"$OUT/go"
wait
script -qc 'echo from script' typescript >/dev/null 2>&1 </dev/null
grep -c 'from script' typescript
rm -f typescript
rev f
column -t f
hexdump -C f | head -1
xxd f 2>/dev/null | head -1
look one f
colrm 2 <f
more f </dev/null | head -1
getopt -o a -- -a x
fallocate -l 1M big && stat -c %s big
fallocate -p -o 0 -l 4096 big && stat -c %s big
mountpoint -q .
echo $?
namei "$PWD/f" | wc -l | sed 's/[0-9]*/some/'
findmnt -T . >/dev/null 2>&1; strings f
rename 2>/dev/null; setsid -w sh -c 'echo setsid >ss'
cat ss
prlimit --fsize=5000 sh -c 'head -c 100000 /dev/zero >limited' 2>/dev/null
stat -c %s limited
ionice -c 3 cat f | head -1
chrt -o 0 cat f | head -1
taskset 1 cat f | head -1
cmp f g
rm -f big limited
