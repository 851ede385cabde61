# cp copies contents, modes, times, links, holes and trees as on tmpfs.
mkdir -p src/sub
echo hello >src/f
seq 50000 >src/big
ln -s f src/link
ln src/f src/hard
echo sub >src/sub/g
chmod 640 src/f
chmod 1777 src/sub
touch -d '2001-02-03 04:05:06.789' src/f src/big src/sub/g
touch -h -d 2002-02-02 src/link
touch -d 2003-03-03 src/sub
ln -s nowhere src/dangling
cp -a src a
cp -r src r 2>&1
cp -rL src/f src/link L 2>&1
mkdir L
cp -L src/link L/
cp -P src/link L/p
cp -d src/link L/d
diff -r --no-dereference src a && echo "the same"
cp src/f f1
cp -p src/f f2
cp --preserve=mode src/f f3
cp --no-preserve=mode -p src/f f4
cp -n src/big f1
cat f1
cp -u src/f f2
cp -v src/f f5
cp -b src/big f1; ls f1*; cp --backup=numbered src/f f1; cp --backup=numbered src/f f1; ls f1*
cp -i src/f f1 </dev/null
echo $?
cp -f src/f f1
cp src/f src/big .
cp -t L src/f src/big
cp -T src/f T
cp --parents src/sub/g L
cp -l src/f hl
cp -s "$PWD/src/f" sl
stat -c '%h' src/f
cp --remove-destination src/f hl
stat -c '%h' src/f
cp src/f src/f
echo $?
cp src .
echo $?
cp missing x
echo $?
cp -r src src/inside
echo $?
rm -rf src/inside
cp src/f no/dir
echo $?
cp src/f src/big f1
echo $?
truncate -s 5M holes
echo middle | dd of=holes bs=1 seek=2500000 conv=notrunc status=none
cp --sparse=always holes h1
cp --sparse=never holes h2
cp holes h3
cmp holes h1 && cmp holes h2 && cmp holes h3 && echo "holes same"
cp --reflink=auto src/big rl
cmp src/big rl && echo reflink
cp --reflink=never src/big rn
cmp src/big rn && echo never
cp --attributes-only -p src/big ao
stat -c '%s %a' ao
cp /dev/null nothing
cp /etc/passwd outside
cmp /etc/passwd outside && echo outside
cp src/big "$OUT"/big
cmp src/big "$OUT/big" && echo out
cp -a src "$OUT/tree"
cp -a "$OUT/tree" back
diff -r --no-dereference src back && echo "there and back"
cp /proc/version pv
cmp pv /proc/version && echo proc
cp - < /dev/null dash 2>&1
echo input | cp /dev/stdin in
cat in
cp -a --no-clobber src/f a/f
cp -x -r src/sub onefs
cp --strip-trailing-slashes src/sub/ strip 2>&1
cp -H src/link H
cp src/link 'name with spaces'
