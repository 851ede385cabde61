# paste, join, comm, od, fmt, fold, pr and others write the same from files in FLAC.
seq 500 >n
printf 'the quick\nbrown fox\njumps\n\nover\n' >t
printf 'b 2\na 10\nc 1\na 2\n' >k
printf '\xff\x00\x01bin\n' >b
printf '1 a\n2 b\n' >j1
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
touch -d 2001-01-01 t
pr -t -2 -l 10 n | head -3
pr -h title -l 20 t | tail -n +3
ptx t
printf 'a b\nb c\n' >ts
tsort ts
numfmt --to=iec <<<1048576
numfmt --field=2 --from=si <<<'x 1K'
