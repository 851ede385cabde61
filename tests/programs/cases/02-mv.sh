# mv renames, overwrites, backs up and crosses file systems, with the errors of tmpfs.
mkdir -p d/e/f x; echo 1 >a; echo 2 >b; echo 3 >d/e/f/g
mv a c
mv c x
ls x
mv -n b x/c
cat x/c
mv -v x/c .
mv -f c b
cat b
mv b d/e
mv d D
find . | sort
mv D/e/f/g D/; mv D/e x/; mv x/e/f x/e/b . ; find . | sort
mv D D/inside
echo $?
mv missing y
echo $?
mv D x/missing/y
echo $?
echo q >file
mv D file
echo $?
mv file x/e
mkdir -p t/x/y
mv x t
echo $?
mv -T x t/x
echo $?
mkdir e1 e2
mv -T e1 e2
ls -d e*
mv -b D/g f
echo z >z
mv --backup=t z f/g
ls f
mv t/x t/y 2>&1
mkdir -p m1/s m2
mv -t m2 m1 f
find m2 | sort
ln -s m2 lm; mv lm lm2; readlink lm2; echo a >h1; ln h1 h2; mv h1 h2; ls h*; stat -c %h h2
mv m2 "$OUT/moved"
find "$OUT" | sort
mv "$OUT/moved" .
find moved | sort
echo data >cross
touch -d 2001-01-01 cross
chmod 604 cross
mv cross "$OUT/"
stat -c '%a %Y' "$OUT/cross"
mv "$OUT/cross" again; stat -c '%a %Y' again
