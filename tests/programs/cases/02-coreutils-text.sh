# Programs that read text write the same from files in FLAC.
seq 500 >n
printf 'the quick\nbrown fox\njumps\n\nover\n' >t
printf 'b 2\na 10\nc 1\na 2\n' >k
printf '\xff\x00\x01bin\n' >b
cat -A t b
cat -n -s t
cat -b t k
cat t - k <n | wc
head -3 n
head -n -495 n
head -c 7 n
head -c -1880 n
head -q -n1 n t
head -n1 n t
tail -3 n
tail -n +498 n
tail -c 5 n
tail -c +1888 n
tail -n1 n t k
tac t
tac -s ' ' t
nl t
nl -b a -w 3 -s: t
wc t n k
wc -l -w -c -m -L t n
wc -c <n
wc --files0-from=<(printf 'n\0t\0')
sort k
sort -k2n k
sort -k1,1 -k2,2nr k
sort -u -k1,1 k
sort -r k -o k2
cat k2
sort -o k k
cat k
sort -c k
sort -c n
echo $?
sort -n -c n
echo $?
sort -m n n | head -4
sort -R --random-source=n n | head -3
shuf --random-source=n -n 5 n
shuf -i 1-5 --random-source=n
shuf --random-source=n -e a b c -o sh
cat sh
uniq -c <<<$'a\na\nb'
printf 'x\nx\ny\n' >u
uniq u uo
cat uo
uniq -d u
uniq -u u
uniq -i -c u
cut -d' ' -f2 k
cut -c1-3 t
cut -b2 --complement t
cut -f1 -d' ' --output-delimiter=: k
tr a-z A-Z <t
tr -d '\n' <t
tr -s o <t
tr -c a-z . <t
paste t k
paste -s -d, n | cut -c1-20
paste -d'|' - - <n | tail -2
join <(sort k) <(sort k2)
printf '1 a\n2 b\n' >j1
printf '1 x\n3 y\n' >j2
join j1 j2
join -a1 -a2 -e- -o 0,1.2,2.2 j1 j2
comm <(sort n) <(sort t)
comm -12 j1 j1
comm --total j1 j2
od -c b
od -An -tx1 -j2 -N3 n
od -i n | tail -2
od -A d -t x2z t
fmt -w 20 t
fold -w 5 t
fold -s -w 8 t
expand <<<$'a\tb'
printf 'a       b\n' | unexpand -a
pr -t -2 -l 10 n | head -3
pr -h title -l 20 t | tail -n +3
ptx t
printf 'a b\nb c\n' >ts
tsort ts
numfmt --to=iec <<<1048576
numfmt --field=2 --from=si <<<'x 1K'
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
