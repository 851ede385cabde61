# sed edits in place, writes other files, and keeps modes and links.
seq 20 >n
cp n m
chmod 640 m
ln m hard
sed -i 's/1/X/' m
cat m | head -2
stat -c '%a %h' m hard
head -1 hard
sed -i.bak '2,5d' m
wc -l m m.bak
mkdir bak
sed -i'bak/*.old' 1d m
ls bak
sed -n 5p n
sed -n '$=' n
sed '/5/,/7/d' n | wc -l
sed -e 1d -e '$d' n | head -1
sed -n 's/1/one/pw written' n
cat written
sed 'w copy' n >/dev/null
cmp copy n && echo copied
sed '/3/r m.bak' n | wc -l
sed '1R m.bak' n | head -3
sed '2a added' n | head -4
sed '2i\inserted' n | head -3
sed '3c changed' n | head -3
sed y/123/abc/ n | head -3
sed -s -n '$p' n m
sed -s -n 1F n m
sed G n | wc -l
sed -n 'H;${x;s/\n/,/g;p}' n
sed '1!G;h;$!d' n | head -2
sed = n | head -2
sed 5q n | tail -1
sed '5q7' n >/dev/null
echo $?
sed -z 's/\n/;/g' n
echo
sed -E 's/(.)(.)/\2\1/' n | tail -1
echo s/1/script/ >scr
sed -f scr n | head -1
printf '#!/bin/sed -f\ns/2/two/\n' >scr2
chmod +x scr2
./scr2 n | sed -n 2p
sed p missing
echo $?
sed -i p missing
echo $?
sed -i p .
echo $?
ln -s n ln
sed -i s/2/L/ ln
ls -F ln*
head -2 n
seq 5 >o
ln -s o lo
sed -i --follow-symlinks 1d lo
ls -F lo
cat o
for i in 1 2 3; do sed -i "$ a line $i" o; done
cat o
sed -i -n 2p o n
cat o n
touch -d 2001-01-01 o
sed -i '' o
[ o -nt m ] && echo newer
printf 'no newline' >nn
sed -i s/no/yes/ nn
od -c nn
seq 100000 >b
sed -i 's/9/nine/g' b
sha256sum b
sed -n '/nine$/w nines' b
wc -l nines
sed 'w /dev/stdout' nn | od -c | head -3
sed -i -e '/^1/d' -e 'w log' b
cmp b log
ls "$TMPDIR" . | sort
sed --debug -n 1p nn 2>&1 | tail -1
sed -u 1q b
sed 'e echo run' nn | head -1
sed --sandbox 'w x' nn
echo $?
sed -i c b -e
ls sed* 2>/dev/null
