# tee, du and df meet files in FLAC.
seq 10 | tee a b >c
cmp a b && cmp b c && echo tee
echo more | tee -a a | cat
tail -2 a
echo x | tee /dev/stderr no/such 2>err
echo $?
seq 100000 | tee t1 | tee t2 | wc -l
cmp t1 t2 && echo same
echo p | tee -p a >/dev/null
mkdir -p d/e
head -c 10000 /dev/zero >d/x
head -c 5000 /dev/zero >d/e/y
ln d/x d/e/hard
du -b --apparent-size d/x d/e/y
du -ab d/e/y
du -s --apparent-size -b d/x
du -l -b d/x d/e/hard | tail -1
du -al d | cut -f2 | sort
du -0 d/x | tr '\0' '\n' | cut -f2
[ $(du -k d/x | cut -f1) -ge 10 ] && echo blocks
[ $(du -k d/x | cut -f1) -le 40 ] && echo "few blocks"
df . | wc -l
df --output=target . | tail -1 | wc -l
df -k . | awk 'NR==2 {print ($2 >= $4 && $4 > 0 ? "room" : "no room: " $0)}'
df -i . | wc -l
df missing
echo $?
