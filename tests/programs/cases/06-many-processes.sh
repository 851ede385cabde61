# Many short processes, pipelines and background jobs on the same files.
for i in $(seq 40); do (echo $i >f$i; cat f$i >>all.$((i % 4)); rm f$i) & done
wait
cat all.* | sort -n | tr '\n' ' '
echo
rm all.*
seq 1000 >in
for i in $(seq 10); do (sort -rn in >s$i; head -$i s$i | tail -1 >t$i) & done
wait
cat t? t10
rm s* t*
ls
for i in $(seq 200); do /bin/true <in >out; done
for i in $(seq 50); do cat in | tail -1 >out; done
cat out
seq 50 | xargs -P 8 -I{} sh -c 'echo {} >x{}; cp x{} y{}; mv y{} z{}; rm x{}'
ls | sort -V | tr '\n' ' '
echo
cat z* | sort -n | tail -1
rm z*
mkdir q
seq 60 | xargs -P 6 -I{} sh -c 'mkdir -p q/a/b/c{}; ln -s x q/l{}; ln in q/h{}'
find q | wc -l
stat -c %h in
rm -r q &
wait
stat -c %h in
for i in 1 2 3 4; do tar cf - in | tar xOf - | sha256sum & done | sort -u
wait
