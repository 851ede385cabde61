# cat, head, tail, tac, nl and wc write the same from files in FLAC.
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
