# sort with temporary files inside FLAC, onto its own input, and with many inputs.
seq 300000 | awk '{print ($1 * 7919) % 300007, $1}' >in; sha256sum in
sort -S 1M -T . in >o1
sort in >o2
cmp o1 o2 && echo same
sha256sum o1
sort -n -S 100K in >o3
sha256sum o3
sort -S 1M --batch-size=4 -n -r in | sha256sum
TMPDIR=$PWD sort -S 200K -u -k1,1n in | sha256sum
sort -S 500K --compress-program=gzip in | cmp - o1 && echo compressed
cp in self
sort -S 1M -n self -o self
cmp self o3 && echo "onto itself"
split -n l/6 in part.
for p in part.*; do sort -n $p -o $p; done
sort -m -n part.* | cmp - o3 && echo merged
sort -m -n part.* -o part.aa
cmp part.aa o3 && echo "merged onto an input"
sort --parallel=2 -S 2M in | cmp - o1 && echo parallel
ls | sort
sort -z -S 100K <(tr '\n' '\0' <in) | tr '\0' '\n' | cmp - o1 && echo zero
ls "$TMPDIR"
sort -T /no/such -S 10K in >/dev/null 2>err
echo $?
sort in missing >/dev/null 2>err
echo $?
cat err
sort -s -k1,1n -t' ' in | head -3
sort -c o1 && echo sorted
sort -C in
echo $?
tsort <<<'a b b c'
sort --files0-from=<(printf 'o1\0o2\0') | uniq | cmp - o1 && echo files0
