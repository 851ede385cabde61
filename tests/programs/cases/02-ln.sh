# ln makes hard and symbolic links, replaces, and fails as on tmpfs; loops and long targets end well.
echo hello >f
chmod 640 f
echo g >g
touch -d 2001-02-03 f g
mkdir -p d/e
touch d/x
ln -s f sl
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
