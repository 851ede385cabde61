# Checksums are made and verified; reading a file while appending to it ends.
seq 500 >n
printf 'the quick\nbrown fox\njumps\n\nover\n' >t
printf 'b 2\na 10\nc 1\na 2\n' >k
printf '\xff\x00\x01bin\n' >b
printf '1 a\n2 b\n' >j1
cksum t n
sum t
sum -s t
base64 b
base64 n | base64 -d | cmp - n && echo base64
base32 b
basenc --base16 b
sha1sum t
sha512sum t | cut -c1-20
b2sum t | cut -c1-20
md5sum t n >m
md5sum -c m
sha256sum * >s 2>/dev/null
sha256sum -c --quiet s 2>&1 | grep -v '^s:'
echo x >>t
md5sum -c m 2>&1
sha256sum --status -c m 2>/dev/null
echo $?
cat t >>t 2>/dev/null
echo $?
cat <t >>t 2>/dev/null
echo $?
cat missing t
echo $?
cat .
echo $?
tail -n2 <n
(tail -n1; tail -n1) <n
factor 12 </dev/null
seq -s, 5
expr 1 + 2
printf '%b' 'x\ny\n' >pf
cat pf
tail -c 3 b | od -c
head -c 0 n
tail -n 0 n
tail -n 1000 n | wc -l
tail -c 1000000 n | wc -c
