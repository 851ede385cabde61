# stat, touch, chmod, chown, ln, readlink, realpath, install, truncate and mktemp keep what they set.
echo hello >f
chmod 640 f
touch -d '2001-02-03 04:05:06.123456789' f
stat -c '%n %s %a %A %F %h %y %Y %u %g' f | sed "s/ $(id -u) $(id -g)$/ me/"
stat -c '%o' f | grep -cE '^[0-9]+$'
stat -c '%x' f
stat -f -c '%S %T' . | wc -l
stat -L -c %F f
stat --printf='%s\t%F\n' . f | sed 's/^[0-9]*\tdir/dir/'
stat missing
echo $?
touch -a -d 2002-01-01 f
stat -c '%X %Y' f
touch -m -d 2003-01-01 f
stat -c '%X %Y' f
touch -r f g
stat -c '%X %Y' g
touch -t 200405060708.09 g
stat -c %y g
touch -c nothing
ls nothing
touch -d @1.5 e
stat -c %.Y e
touch -d '1969-12-31 23:59:58 UTC' neg
stat -c %Y neg
touch -d '2106-02-08' late
stat -c %Y late
touch -d '2300-01-01' later
stat -c %Y later
touch -r f -d '+1 day' g
stat -c %Y g
touch h
[ h -nt f ] && echo now
touch no/such/f
echo $?
touch .
touch -h -d 2001-01-01 lnk
echo $?
ln -s f sl
touch -h -d 2001-01-01 sl
stat -c %Y sl f
for m in 777 u-x g+s,o-r a+X u=rw,go= +t =r o=u g-s,-t 0 4755 2644; do chmod $m f; stat -c '%a %A' f; done
chmod -v 644 f
chmod -c 644 f
chmod --reference=g f
mkdir -p d/e
touch d/x d/e/y
chmod -R u=rwX,go=rX d
find d -printf '%p %m\n' | sort
chmod -R a-w,+t d
find d -printf '%p %m\n' | sort
chmod -R u+w d
chmod 600 sl
stat -c %a f
chmod 600 missing
echo $?
chmod bogus f
echo $?
chmod g+s d
mkdir d/sub
stat -c %A d/sub
umask 0
touch d/open
mkdir d/opend
umask 022
stat -c '%a' d/open d/opend
chown $(id -u):$(id -g) f
echo $?
chown -R $(id -un) d
chown -h $(id -u) sl
chgrp $(id -g) f
chown --reference=g f
echo $?
chmod 6755 h
chown $(id -u) h
stat -c %a h
ln f f2
ln f2 d/f3
stat -c %h f
ln -s ../f d/up
cat d/up
ln -sf g sl
readlink sl
ln -sfn d sd
ln -sfn d/e sd
readlink sd
ln -sr d/x rel
readlink rel
ln f f2
echo $?
ln -f g f2
stat -c %h f g
ln d dd
echo $?
ln missing q
echo $?
ln -s "" empty
echo $?
ln -t d g
ln -P sl hsl
readlink hsl
ln -L sl hL
[ hL -ef g ] && echo followed
ln -b f g
ls g*
ln -s loop loop
cat loop
echo $?
ln -s l2 l1
ln -s l1 l2
ls -L l1
stat -L l1
ln -s /etc/passwd abs
head -1 abs | cut -c1-5
ln -s "$ROOT/case/f" absin
cat absin | wc -c
x=$(printf 'y%.0s' {1..300})
touch $x
echo $?
touch ${x:0:255}
ls | grep -c yyy
rm y*
ln -s $(printf 'z%.0s' {1..4000}) longl
readlink longl | wc -c
readlink f
echo $?
readlink -f d/up
readlink -f missing
readlink -f no/missing
echo $?
readlink -e missing
echo $?
readlink -m no/such/at/all/../x
realpath d/../d/e
realpath -s sd
realpath --relative-to=d f
realpath -e missing
echo $?
realpath -m a/b/../c
realpath sl .
realpath loop
echo $?
readlink -n sl
echo
readlink -v f
readlink -z sl | od -c | head -1
realpath "$ROOT/case/../case/f" /etc/../etc/passwd
realpath ..
install -m 751 f i1
stat -c %a i1
install -d -m 700 id/a/b
stat -c '%a' id id/a/b
install -D -p f id/x/y
stat -c %Y id/x/y f | uniq | wc -l
install -t id f g
install -b f i1
install -v -C f i1
install f missing/x
echo $?
install -s /bin/true stripped 2>/dev/null
ls i*
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
