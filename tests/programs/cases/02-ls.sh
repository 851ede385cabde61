# ls shows names, types, sizes, modes and orders as on tmpfs.
mkdir -p d/e
seq 10 >small
seq 10000 >large
touch -d 2001-01-01 small
touch -d 2005-05-05 large d/e
ln -s small link
ln small hard
chmod 4755 small
touch .dot 'sp ace' $'tab\there' d/x.c d/y.h
touch -d 2003-01-01 d/x.c d/y.h d
chmod 1777 d
ln -s nowhere dangling
ls
ls -a
ls -A
ls -1
ls -F
ls -p
ls -d d
ls -R
ls -r
ls -m
ls -C
ls -x
ls -w 20
ls -Q
ls -b
ls -N | cat
ls -B
ls -S -1
ls -t -1 small large d/x.c
ls -X d
ls -v
ls --sort=size -r small large
ls -U d | sort
ls --group-directories-first
ls -l --time-style=+%Y small large d/x.c | sed "s/ $(id -un) / U /; s/ $(id -gn) / G /"
ls -lh --time-style=+%Y large | cut -d' ' -f1,2,5-
ls -n --time-style=+%Y-%m-%d link hard | cut -c1-12
ls -ld --time-style=+ d | cut -c1-12
ls -lL --time-style=+ link | cut -c1-10
ls -go --time-style=full-iso small | cut -d' ' -f1-6
ls -l missing
echo $?
ls --full-time small | cut -d' ' -f1,2,6-
[ "$(ls -i small | cut -d' ' -f1)" = "$(stat -c %i hard)" ] && echo "inode numbers agree"
[ "$(ls -id d | cut -d' ' -f1)" = "$(stat -c %i d)" ] && echo "and for directories"
for f in $(ls -A | grep -v ' \|'$'\t'); do a=$(ls -i1d $f | sed 's/^ *//; s/ .*//'); b=$(ls -i1a | sed 's/^ *//' | grep " $f\$" | cut -d' ' -f1); [ $a = $b ] || echo "d_ino of $f differs"; done
ls d/../d/./e/..
ls "$ROOT/case/d"
ls -d */
ls d/*
ls -L link dangling 2>&1
ls --hide='s*'
ls -I 'l*'
ls --color=always d small link dangling
ls --quoting-style=c
dir
vdir d | wc -l
chmod 0 d/e
ls d/e >/dev/null 2>&1
echo "status $((EUID ? 0 : 2 - 2 + $?))"
chmod 755 d/e
mkdir many
touch many/{1..500}
ls many | wc -l
ls -f many | wc -l
ls -s1 d/x.c
ls -H link
ls -l --time-style=+ -H link | cut -c1
ls -1 | wc -l
[ "$(ls -di .. | sed 's/^ *//; s/ .*//')" = "$(stat -c %i ..)" ] && echo "parent too"
[ "$(stat -c %d .)" = "$(stat -c %d d/e)" ] && echo "one device"
