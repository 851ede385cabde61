# dd copies at every block size, offset and conversion.
seq 20000 >n
for bs in 1 7 512 4095 4096 4097 65536 1M; do [ $bs = 1 ] && src=<(head -c 3000 n) || src=n; dd if=n of=o.$bs bs=$bs status=none count=$([ $bs = 1 ] && echo 3000 || echo 100000); sha256sum o.$bs; done
rm o.*
dd if=n of=d1 bs=1000 skip=3 count=2 status=none
sha256sum d1
dd if=n of=d2 bs=100 seek=10 count=3 status=none
wc -c d2
od -An -tx1 d2 | head -2
cp n d3
dd if=/dev/zero of=d3 bs=10 seek=5 count=2 conv=notrunc status=none
sha256sum d3
dd if=n of=d3 bs=10 count=2 seek=100 status=none
wc -c d3
dd if=n bs=5000 iflag=skip_bytes,count_bytes skip=1234 count=4321 status=none | sha256sum
dd if=n of=d4 oflag=seek_bytes seek=999 bs=500 count=1 status=none
wc -c d4
dd if=n of=d5 ibs=100 obs=333 2>err
sed 's/ copied.*//' err
dd if=n of=d6 bs=3000 conv=sync 2>err
sed 's/ copied.*//' err
wc -c d6
dd if=n of=d7 bs=64k conv=fsync status=none
dd if=n of=d8 conv=fdatasync bs=1k status=none
cmp d7 d8 && echo synced
dd if=n of=d9 bs=4k oflag=sync status=none
dd if=n of=d9 bs=4k oflag=dsync conv=notrunc status=none
cmp n d9 && echo o_sync
dd if=n of=dA bs=512 oflag=append conv=notrunc status=none
dd if=n of=dA bs=512 oflag=append conv=notrunc status=none
wc -c dA
dd if=n of=dA conv=excl 2>err
echo $?
dd if=n of=nocreate conv=nocreat 2>err
echo $?
dd if=n of=dB conv=ucase,swab status=none
sha256sum dB
truncate -s 2M z
dd if=z of=dC conv=sparse bs=64k status=none
stat -c %s dC
cmp z dC && echo sparse
[ $(stat -c %b dC) -lt 100 ] && echo "and small"
dd if=n of=dD bs=1M iflag=fullblock status=none <n
cat n | dd of=dE bs=4096 iflag=fullblock status=none
cmp n dE && echo fullblock
dd if=n bs=1k count=0 of=dF status=none
wc -c dF
dd if=n skip=1000000 of=dG status=none 2>&1
wc -c dG
dd if=n of=dH bs=4096 iflag=nofollow,noatime status=none 2>&1 | head -1
ln -s n ln
dd if=ln iflag=nofollow of=dI 2>&1 | head -1
dd if=. of=dJ 2>&1 | head -1
dd if=n iflag=directory 2>&1 | head -1
dd conv=notrunc if=/dev/null of=n seek=1 status=none
wc -c n
dd if=/dev/null of=n bs=100 seek=3 status=none
wc -c n
dd if=/dev/zero bs=1M count=8 status=none | dd of=eight bs=1M iflag=fullblock status=none
wc -c eight
dd if=eight of=eight2 bs=2M status=none
cmp eight eight2 && echo "2M same"
dd if=eight of=eight bs=1M skip=4 conv=notrunc status=none
wc -c eight
(dd bs=100 count=1 status=none; dd bs=100 count=1 status=none) <d7 | sha256sum
(dd if=d7 bs=100 count=1; echo mid; dd if=d7 bs=50 count=1) >dK 2>/dev/null
sha256sum dK
