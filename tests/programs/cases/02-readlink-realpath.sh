# readlink and realpath resolve names inside and across the root.
echo hello >f
chmod 640 f
echo g >g
touch -d 2001-02-03 f g
mkdir -p d/e
ln -s ../f d/up
ln -s g sl
ln -s d/e sd
ln -s loop loop
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
