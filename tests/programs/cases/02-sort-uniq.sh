# sort, shuf, uniq, cut and tr write the same, also onto their own input.
seq 500 >n
printf 'the quick\nbrown fox\njumps\n\nover\n' >t
printf 'b 2\na 10\nc 1\na 2\n' >k
printf '\xff\x00\x01bin\n' >b
printf '1 a\n2 b\n' >j1
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
