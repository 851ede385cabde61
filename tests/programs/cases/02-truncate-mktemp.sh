# truncate sets every size; mktemp makes private names.
echo hello >f
chmod 640 f
echo g >g
touch -d 2001-02-03 f g
mkdir d
truncate -s 100 t
truncate -s +50 t
stat -c %s t
truncate -s -20 t
truncate -s %64 t
truncate -s /100 t
stat -c %s t
truncate -s '<50' t
truncate -s '>60' t
stat -c %s t
truncate -r f t
stat -c %s t
truncate -c -s 5 nothere
ls nothere
truncate -s 0 t
stat -c '%s' t
echo 1234567890 >t
truncate -s 5 t
truncate -s 8 t
od -c t
truncate -s 5G hugef
stat -c %s hugef
rm hugef
truncate -s 1 d
echo $?
m=$(mktemp)
[ -f $m ] && stat -c '%a %s' $m
rm $m
m=$(mktemp -d)
stat -c '%a' $m
rmdir $m
m=$(mktemp ./tXXXXXX)
ls $m | wc -c
rm $m
mktemp -p d y.XXXX.suf | sed 's/\.....\./.RAND./'
rm d/y*
mktemp /no/such/XXXX
echo $?
mktemp -u >/dev/null
pathchk f no/such
echo $?
pathchk -p 'b*d'
echo $?
basename "$PWD/f" .x
dirname a/b/c
