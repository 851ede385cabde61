# split cuts files in every way, and the pieces join again.
seq 20000 >n
split n
ls x*
cat x* | cmp - n && echo joined
rm x*
split -b 10k -d -a 3 n p.
ls p.* | wc -l
cat p.* | cmp - n && echo bytes
rm p.*
split -l 7000 --additional-suffix=.txt n q
ls q*
rm q*
split -n 4 n r
wc -c r*
split -n l/3 n s
wc -l s*
split -n r/3 n t
head -1 t*
split -n 2/4 n | sha256sum
split -C 5000 n u
ls u* | wc -l
split --filter='wc -l >$FILE.cnt' -l 5000 n v
cat v*.cnt
rm [r-v]*
split -e -n 10 <(printf abc) e
ls e*
split -b 1K - w <n
ls w* | wc -l
rm w*
