# GNU grep finds the same in files, trees and standard input.
mkdir -p t/a t/b
seq 3000 >t/n
printf 'Alpha\nbeta\nALPHA beta\n' >t/a/x
printf 'beta\0gamma\0' >t/b/bin
echo beta >t/b/.hid
ln -s ../n t/a/ln
printf 'no newline beta' >t/nn
seq 400000 >big
grep beta t/a/x
grep -c 1 t/n
grep -i alpha t/a/x
grep -v 1 t/n | wc -l
grep -n 999 t/n
grep -w 42 t/n
grep -x 42 t/n
grep -o '9\+' t/n | tail -1
grep -b 2999 t/n
grep -H beta t/nn
grep -L beta t/n t/nn
grep -l beta t/n t/nn
grep -q beta t/nn
echo $?
grep -q zzz t/n
echo $?
grep -s x missing
echo $?
grep x missing
echo $?
grep -r beta t | sort
grep -rl beta t | sort
grep -R 2998 t | sort
grep -rc 9 t | sort
grep -r --include='x*' -i alpha t | sort
grep -r --exclude-dir=b beta t | sort
grep -rh beta t/a
grep -r beta t/b
(cd t; grep -r beta | sort)
grep -d skip x t
grep x t
grep -d read x t
echo $?
grep -z gamma t/b/bin | tr '\0' '\n'
grep -a gamma t/b/bin | tr '\0' '|'
grep -A1 -B1 '^42$' t/n
grep -C2 '^7$' t/n
grep -m2 1 t/n
grep -E '^(1|2)0+$' t/n
grep -P '^\d{4}$' t/n | head -1
grep -F -f t/a/x t/nn
grep -e 41 -e 42 t/n | head -3
printf '7\n8\n' >pat
grep -xf pat t/n
grep -f - t/n <pat | wc -l
grep -c '' big
grep -c 77 big
grep 399999 big
grep -n 4 <big | tail -1
cat big | grep -c 5
(grep -m1 3; head -c 6) <t/n | head -2
grep beta t/a/x >>t/a/x
echo $?
grep -U beta t/nn
egrep 'a|b' pat
fgrep 7 pat
zgrep -c 7 pat
head -c 70000 /dev/zero >hole
echo text >>hole
grep -c text hole
grep text hole
truncate -s 10M sparse
echo end >>sparse
grep -a -c end sparse
grep -c x sparse
grep --color=always 42 t/n | head -2
grep --line-buffered 299 t/n | tail -1
grep -T -n 42 pat t/n | head -2
grep --null -l 7 pat | od -c | head -1
