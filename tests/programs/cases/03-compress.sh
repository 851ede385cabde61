# gzip, xz, bzip2, zip and cpio round-trip files in place and through pipes.
# needs: zip unzip cpio xz bzip2
seq 100000 >n; touch -d '2001-02-03 04:05:06' n; chmod 640 n; sha256sum n
gzip -k n
gzip -l n.gz | awk '{print $1, $2, $4}'
sha256sum n.gz
gunzip -c n.gz | cmp - n && echo gz
rm n
gunzip n.gz
stat -c '%a %Y' n
gzip -9 -c n >n9.gz
gzip -t n9.gz
echo $?
zcat n9.gz | tail -1
gzip -1 n
ls
gzip -d n.gz
gzip n
touch n
gunzip n.gz </dev/null
echo $?
gunzip -f n.gz
cp -p n m
gzip n m
cat n.gz m.gz | gunzip | wc -l
gunzip n.gz m.gz
gzip -c <n | gunzip | cmp - n && echo pipe
gzip missing
echo $?
echo junk >j.gz
gunzip j.gz
echo $?
mkdir d
cp -p m d
gzip -r d
ls d
gzip d
echo $?
ln -s m lm
gzip lm
echo $?
ln m hm
gzip m
echo $?
rm hm
gzip -S .z m
ls m*
gunzip -S .z m.z
head -c 100000 n9.gz | gunzip 2>&1 | tail -1
zdiff n9.gz n && echo zdiff
zcmp n9.gz m
gzip -n --stdout m | sha256sum
zless n9.gz 2>/dev/null | head -1
xz -k n
sha256sum n.xz
xz -l n.xz | wc -l
xzcat n.xz | cmp - n && echo xz
rm n
unxz n.xz
stat -c '%a %Y' n
xz -T2 --block-size=100KiB -c n | xz -dc | cmp - n && echo threads
xz -0 <n >n0.xz
xz -t n0.xz
xz n
xz -d n.xz
truncate -s 20M sp
xz -1 sp
xz -d sp.xz
stat -c %s sp
[ $(stat -c %b sp) -lt 8000 ] && echo sparse
rm sp
xz missing
echo $?
head -c 1000 n0.xz >cut.xz
xz -d cut.xz
echo $?
ls cut*
xzgrep -c 7 n0.xz
lzma -c m | unlzma | cmp - m && echo lzma
bzip2 -k n
sha256sum n.bz2
bunzip2 -c n.bz2 | cmp - n && echo bz
rm n
bunzip2 n.bz2
stat -c '%a %Y' n
bzip2 -t n 2>/dev/null
echo $?
bzip2 -c <n | bzcat | cmp - n && echo pipe
bzip2 n m
ls *.bz2
bzip2 -d n.bz2 m.bz2
cp n n.bz2
bzip2 n 2>/dev/null
echo $?
rm n.bz2
mkdir -p z/s
cp n z/
echo x >z/s/x
ln -s x z/s/l
chmod 600 z/s/x
find z -exec touch -h -d 2001-01-02 {} +
find z -type d,f | sort | zip -qX -@ a.zip
unzip -l a.zip | awk '{print $1, $4}' | tail -n +4
find z | sort | zip -qyX -@ y.zip
mkdir u
(cd u; unzip -q ../y.zip; find . -printf '%p %y %m %l\n' | sort)
unzip -p a.zip z/s/x
unzip -t a.zip | tail -1
echo new >z/new
touch -d 2001-01-02 z/new z
zip -qgX a.zip z/new
unzip -Z1 a.zip
zip -d a.zip z/n
unzip -Z1 a.zip
zip -u a.zip z/s/x
zip - z/n 2>/dev/null | funzip | cmp - z/n && echo stream
unzip -o -q a.zip
unzip -n a.zip | wc -l
unzip missing.zip 2>&1 | head -1
zip -qm moved.zip z/new
ls z
zip -q -0 -s 64k -r sp.zip z
ls sp.z*
rm *.z*
find z -exec touch -h -d 2001-01-02 {} +
find z | sort | cpio -o --quiet --reproducible >c
cpio -it --quiet <c
mkdir ci
(cd ci; cpio -idm --quiet <../c; find . -type f -printf '%p %m %Ts\n' | sort; find . -type d -printf '%p %m\n' | sort)
find z | sort | cpio -o --quiet -H newc --reproducible --renumber-inodes --ignore-devno -R 0:0 | sha256sum
find z -depth | cpio -pdm --quiet cp
diff -r z cp/z && echo passed
find z -depth | cpio -pdl --quiet cl 2>/dev/null
stat -c %h cl/z/n
echo z/n | cpio -o --quiet -O ap
echo z/s/x | cpio -oA --quiet -O ap -H newc 2>/dev/null
cpio -it --quiet -I ap
rm c ap
