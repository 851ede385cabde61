# diff, cmp, diff3, sdiff and patch compare and change trees.
# needs: diff cmp patch diff3 sdiff
mkdir -p a/s b/s
seq 20 >a/n
seq 20 | sed 's/^1/x/' >b/n
echo only >a/oa
echo only >b/ob
echo same >a/same
echo same >b/same
seq 5 >a/s/f
seq 6 >b/s/f
printf 'nonl' >a/nl
printf 'nonl\n' >b/nl
printf 'b\0a' >a/bin
printf 'b\0b' >b/bin
ln -s n a/l
ln -s same b/l
for f in a/n b/n a/s/f b/s/f a/nl b/nl a/same b/same a/bin b/bin a/oa b/ob a/s b/s; do touch -d 2001-01-01 $f; done
diff a/n b/n
echo $?
diff -u a/n b/n
diff -c a/s/f b/s/f
diff -y -W 20 a/n b/n
diff -e a/n b/n
diff -r a b
echo $?
diff -rq a b
diff -ruN a b >p
cat p
diff a/same b/same
echo $?
diff a/n - <b/n | head -1
diff a/n missing
echo $?
diff -i -w -B a/n a/n
diff --brief a/n b/n
diff -r --no-dereference a b | grep -i symb
diff a b/n
echo $?
diff a/n b
diff -x n -r a b
diff -s a/same b/same
diff --from-file=a/n b/n b/same | wc -l
diff -D MACRO a/s/f b/s/f
cmp a/n b/n
cmp -l a/bin b/bin
cmp -s a/n a/n
echo $?
cmp -i 3 a/n b/n
cmp -n 1 a/bin b/bin
echo $?
cmp a/n missing
cmp a/nl b/nl
seq 19 >m
diff3 a/n m b/n
diff3 -m a/n m b/n | head -5
echo $?
sdiff -s a/s/f b/s/f
cmp a/n - <a/n
echo $?
cp -a a c
cd c
patch -p1 <../p
echo $?
cd ..
diff -r a/s b/s >/dev/null || diff -r c/s b/s && echo patched
cat c/n | head -3
(cd c; patch -R -p1 <../p >/dev/null; echo $?)
diff -r a c && echo reverted
cp a/n t
diff -u a/n b/n | patch t
cmp t b/n && echo one
diff -u a/n b/n | patch -b t 2>&1 </dev/null | head -3
ls t*
seq 10 | sed 's/5/five/' >q
diff -u <(seq 10) q | patch -o out b/n 2>&1 | tail -1
ls
seq 100 >big
sed 's/50/fifty/' big >big2
diff -u big big2 | sed 's/\t.*//' >bp
patch --dry-run big bp
patch big bp
cmp big big2 && echo same
patch big bp </dev/null >/dev/null
echo $?
ls | sort
