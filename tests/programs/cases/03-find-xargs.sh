# find selects by every property and acts; xargs runs in parallel.
mkdir -p t/a/b t/c t/empty
seq 10 >t/1.txt
seq 1000 >t/a/2.txt
: >t/a/b/zero
head -c 70000 /dev/zero >t/c/big
ln -s ../1.txt t/a/ln
ln t/1.txt t/c/hard
chmod 600 t/a/2.txt
chmod 4755 t/c/big
touch -d 2001-01-01 t/1.txt t/c
touch -d '2 hours ago' t/a/b/zero
ln -s nowhere t/dang
touch 't/with space' $'t/new\nline'
s() { sort -z | tr '\0' '|'; echo; }
find t -print0 | s
find t -type f -print0 | s
find t -type d -print0 | s
find t -type l -print0 | s
find t -type p
find t -name '*.txt' | sort
find t -iname '*.TXT' | wc -l
find t -path '*/a/*' | sort
find t -regex '.*/[0-9]\.txt' | sort
find t -size +10k
find t -size 0 -type f -print0 | s
find t -size -2 -type f -name '*.txt' | sort
find t -empty -print0 | s
find t -perm 600
find t -perm -4000
find t -perm /022 -type f
find t -links 2 -type f | sort
find t -samefile t/1.txt | sort
find t -inum $(stat -c %i t/1.txt) | sort
find t -newer t/1.txt -name '[a-z]*' -type d | sort
find t -mtime +1000 | sort
find t -mmin -5 -name '*.txt'
find t -mmin +60 -type f | sort
find t -newermt 2020-01-01 -type f -name 'b*'
find t -user $(id -u) | wc -l
find t -nouser | sort
find t -readable -name big
find t -xtype l
find -L t -type l
find -L t -name ln -type f
find -H t/a/ln
find t -maxdepth 1 -mindepth 1 -type d | sort
find t -depth -name '*' -type d | tail -1
find t -prune
find t -name a -prune -o -type f -name 'b*' -print
find t -lname '*1.txt'
find t -fstype nosuch
find t -quit
find missing
echo $?
find t -name '*.txt' -printf '%p %f %h %s %m %M %n %y %l %d %P\n' | sort
find t -type f -name '[1z]*' -printf '%TY %Ts %f\n' | grep -v zero
find t -type l -printf '%l %Y\n' | sort
find t -ls | wc -l
find t -type f -fprint list
sort list | wc -l
rm list
find t -name '*.txt' -fprintf pf '%f\n' -o -name big -fls fl
sort pf
wc -l <fl
rm fl
find t -name '*.txt' -exec cat {} + | wc -l
find t -name '*.txt' -exec wc -l {} \; | sort
find t -name '*.txt' -execdir ls {} \; | sort
find t -type d -exec test -w {} \; -print | sort
find t -name zero -ok true \; </dev/null 2>/dev/null
find t -type f -printf '%f\0' | sort -z | xargs -0 -n 2 echo
find t -type f -print0 | xargs -0 -P 4 -n 1 sha256sum | sort | cut -c1-20
find t -name 'new*' -delete
find t -name big -delete
find t -empty -type d -delete
find t | sort
find t -delete
ls -d t
mkdir m
seq 100 | xargs -P 4 -I{} sh -c 'echo {} >m/{}'
ls m | wc -l
cat m/* | sort -n | tail -1
ls m | xargs -P 2 -n 10 sh -c 'cd m; cat "$@" >>../all' _
wc -l <all
sort all | sha256sum
rm all
xargs -a <(seq 3) echo
seq 5 >args
xargs -a args -n 2 echo
xargs <args -L 2
xargs --max-chars=10 <args
printf 'a "b c" d\\ e' | xargs -n1
xargs false <args
echo $?
xargs -r touch never </dev/null
ls never
find m -type f -name '*9' | xargs rm
ls m | wc -l
find . -newer args -name '1*' | sort | head -2
locate x >/dev/null 2>&1
find m -type f -size -100c -exec mv -t . {} +
ls m
find . -maxdepth 1 -name '[0-9]*' | wc -l
