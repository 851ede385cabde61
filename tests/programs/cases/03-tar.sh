# tar creates, lists, extracts, appends, deletes, updates and restores sparse and incremental archives.
mkdir -p s/d/e
seq 5000 >s/n
echo x >s/d/x
ln -s n s/l
ln s/n s/d/hard
chmod 640 s/n
chmod 1700 s/d/e
head -c 200000 /dev/zero | tr '\0' a >s/a
touch s/'sp ace'
printf 'y%.0s' {1..150} | xargs -I{} touch s/{}
truncate -s 3M s/sparse
echo tail >>s/sparse
find s -exec touch -h -d '2001-02-03 04:05:06' {} +
T="tar --sort=name --owner=u:1 --group=g:1 --numeric-owner"
$T -cf a.tar s
sha256sum a.tar
tar tf a.tar
tar tvf a.tar | awk '{print $1, $3, $4, $6}'
mkdir x
tar xf a.tar -C x --no-same-owner
diff -r --no-dereference s x/s 2>&1
find x ! -type d -printf '%P %y %m %s %n %Ts\n' | sort
find x -mindepth 1 -type d -printf '%P %m %Ts\n' | sort
tar df a.tar
tar dvf a.tar >/dev/null 2>&1
cd s
tar cf ../b.tar *
cd ..
tar tf b.tar | sort | head -4
tar xOf a.tar s/d/x
tar xf a.tar s/d/x
tar tf a.tar 's/d*' --wildcards
tar xf missing.tar
echo $?
tar cf c.tar missing
echo $?
tar tf s/n
echo $?
$T -czf a.tgz s
tar tzf a.tgz | wc -l
$T -cJf a.txz s/n s/d
tar tJf a.txz
$T -cjf a.tbz s/n
tar tjf a.tbz
gzip -dc a.tgz | cmp - a.tar && echo gz
mkdir z
tar xzf a.tgz -C z --no-same-owner
diff -r --no-dereference x/s z/s 2>&1
tar xf a.txz -O s/d/x
cat a.tgz | tar xz -O s/d/x
$T --mtime=@5 -cf - s | sha256sum
(cd s && tar cf - .) | (mkdir pipe; cd pipe && tar xf - --no-same-owner)
diff -r --no-dereference s pipe 2>&1
$T -cSf sp.tar s/sparse
[ $(stat -c %s sp.tar) -lt 100000 ] && echo small
mkdir sp
tar xSf sp.tar -C sp
cmp s/sparse sp/s/sparse && echo "sparse same"
[ $(stat -c %b sp/s/sparse) -lt 200 ] && echo "and sparse"
echo new >new
touch -d 2002-01-01 new
$T -rf a.tar new
tar tf a.tar | tail -1
tar --delete -f a.tar s/a
tar tf a.tar | grep -c '^s/a$'
tar --delete -f a.tar new s/n
tar tf a.tar | wc -l
echo newer >new
touch -d 2003-01-01 new
$T -uf a.tar new
tar xf a.tar -O new
$T -Af a.tar b.tar
tar tf a.tar | wc -l
$T -cf up.tar new
touch -d 2004-01-01 new
$T -uf up.tar new
$T -uf up.tar new
tar tf up.tar | wc -l
tar --transform 's,^s,T,' -cf tr.tar s/n
tar tf tr.tar
tar --exclude='*.x' --exclude=s/d -cf ex.tar s
tar tf ex.tar | wc -l
tar cf f.tar -T <(printf 's/n\ns/d/x\n')
tar tf f.tar
tar --strip-components=2 -xf f.tar
cat x/s/d/x
ls -F | head -20
tar -x -k -f f.tar 2>&1
tar --keep-newer-files -xf f.tar
tar --overwrite -xf f.tar
tar -x --unlink-first -f f.tar
tar xf f.tar --to-command='wc -c'
tar cf rm.tar new --remove-files
ls new
tar xmf rm.tar
[ new -nt s/n ] && echo touched
tar --format=pax -cf pax.tar s
tar tf pax.tar | wc -l
tar -b 1 -cf b1.tar s/d
stat -c %s b1.tar
tar -b 2048 -cf b2048.tar s
stat -c %s b2048.tar
tar tf b2048.tar | wc -l
rm -f *.tar
$T -g snap -cf i0.tar s
echo inc >s/inc
rm s/d/x
$T -g snap -cf i1.tar s
tar tf i1.tar | sort
mkdir r
(cd r; tar xGf ../i0.tar --no-same-owner; tar xGf ../i1.tar --no-same-owner; find . | sort | wc -l; ls s/d)
$T -cMf m1.tar -L 100 -F 'echo m2.tar >&$TAR_FD' s/a 2>/dev/null
ls m*.tar
$T -cWf v.tar s
echo $?
rm snap *.tar *.t?z
chmod -R u+rwx .
