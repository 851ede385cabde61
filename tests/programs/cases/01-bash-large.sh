# Large data through bash and its children arrives whole.
seq 200000 >big; sha256sum big; x=$(<big); echo ${#x}; echo "$x" >copy; cmp big copy && echo same
wc -lc <big; md5sum <copy
printf '%s\n' "$x" | tail -1
head -c 1000003 big >part
tail -c +1000004 big >>part
cmp part big && echo joined
for i in {1..300}; do echo "line $i" >>many; done; wc -l <many; sha256sum many
i=0; while read -r l; do ((i += l)); done < <(head -5000 big); echo $i
for i in {1..200}; do echo $i >f$i; done; cat f{1..200} | sha256sum; ls | wc -l; rm f*; ls
head -c 3000000 /dev/zero | tr '\0' x >zeros
tr x y <zeros >y
cmp zeros y | head -1
tr y x <y | cmp - zeros && echo same
exec 3<big; for i in 1 2 3; do head -c 100 <&3 | wc -c; done; exec 3<&-
: >grow
for i in {1..12}; do cat grow grow >g2; echo $i >>g2; mv g2 grow; done
wc <grow
sha256sum grow
