# tee, du, df, env, nice, nohup, timeout, sync, shred and others meet files in FLAC.
seq 10 | tee a b >c
cmp a b && cmp b c && echo tee
echo more | tee -a a | cat
tail -2 a
echo x | tee /dev/stderr no/such 2>err
echo $?
seq 100000 | tee t1 | tee t2 | wc -l
cmp t1 t2 && echo same
echo p | tee -p a >/dev/null
mkdir -p d/e
head -c 10000 /dev/zero >d/x
head -c 5000 /dev/zero >d/e/y
ln d/x d/e/hard
du -b --apparent-size d/x d/e/y
du -ab d/e/y
du -s --apparent-size -b d/x
du -l -b d/x d/e/hard | tail -1
du -a d | cut -f2 | sort
du -0 d/x | tr '\0' '\n' | cut -f2
[ $(du -k d/x | cut -f1) -ge 10 ] && echo blocks
[ $(du -k d/x | cut -f1) -le 40 ] && echo "few blocks"
df . | wc -l
df --output=target . | tail -1 | wc -l
df -k . | awk 'NR==2 {print ($2 >= $4 && $4 > 0 ? "room" : "no room: " $0)}'
df -i . | wc -l
df missing
echo $?
env A=1 sh -c 'echo $A >envf'
cat envf
env -C d sh -c 'ls; pwd' | sed "s|$ROOT||"
env -i PATH="$PATH" sh -c 'echo clean' >clean
cat clean
nice -n 5 sh -c 'echo nice >nf'
cat nf
nohup sh -c 'echo nohup out; echo nohup err >&2' </dev/null >/dev/null 2>&1
(nohup sh -c 'echo hup' <&- >nh.out 2>nh.err)
cat nh.out
timeout 5 cat nf
timeout 0.1 sleep 5
echo $?
timeout 5 sh -c 'echo in >tf; exit 3'
echo $?
(timeout -s KILL 0.1 sh -c 'echo part >kf; sleep 5'; echo $?) 2>/dev/null
cat kf
stdbuf -oL cat nf
stdbuf -o0 echo unbuffered >ub
cat ub
sync
sync a b
echo $?
sync -d a
sync -f a
sync missing
echo $?
shred -u -n 1 t1
ls t1
shred -n 1 -z t2
head -c 4 t2 | od -An -tx1
test -f a -a ! -d a
echo $?
[ a -ef a ]
echo $?
yes | head -3
yes ab | head -c 70000 | sha256sum
seq 5 >&-
echo $?
cat <&-
echo $?
echo x >/dev/full
echo $?
cat a >/dev/null
cat /dev/null a | tail -1
mkfifo ff
(echo fifo >ff) & cat ff
wait
mkfifo ff
echo $?
(cat ff >fo) & seq 3 >ff
wait
cat fo
chroot / true 2>/dev/null
runcon true 2>/dev/null
nproc >/dev/null
uname >u
id -u >>u
wc -l <u
logname >/dev/null 2>&1
date -r a +%Y | grep -c 20
touch -d 2001-01-01 dd
date -r dd +%F
who >w
pinky >/dev/null 2>&1
hostid >hh
rm hh w
arch >ar
cat a | cat - | cat >b
cmp a b
printenv TZ >tz
cat tz
tty >ty
cat ty
sleep 0.01 >sl
stty <a
echo $?
dircolors -b >dc
wc -l <dc
seq 3 | xargs -I{} cp a 'copy {}'
ls copy*
getconf NAME_MAX .
getconf PATH_MAX .
[ $(getconf LINK_MAX .) -gt 100 ] && echo links
logger --version >/dev/null 2>&1
mknod pipe2 p
ls -F pipe2
echo nohup in >/dev/null
