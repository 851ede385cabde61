# sync, shred, special devices and the rest of coreutils meet files in FLAC.
seq 10 >a
seq 10 >b
mkdir -p d/e
seq 50000 | tee t1 >t2
sync
sync a b
echo $?
sync -d a
sync -f a
sync missing
echo $?
shred -u -n 1 t1
ls t1
shred -x -n 1 -z t2
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
