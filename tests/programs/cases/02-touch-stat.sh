# touch and stat set and show times, sizes and modes.
echo hello >f
chmod 640 f
touch -d '2001-02-03 04:05:06.123456789' f
stat -c '%n %s %a %A %F %h %y %Y %u %g' f | sed "s/ $(id -u) $(id -g)$/ me/"
stat -c '%o' f | grep -cE '^[0-9]+$'
stat -c '%x' f
stat -f -c '%S %T' . | wc -l
stat -L -c %F f
stat --printf='%s\t%F\n' . f | sed 's/^[0-9]*\tdir/dir/'
stat missing
echo $?
touch -a -d 2002-01-01 f
stat -c '%X %Y' f
touch -m -d 2003-01-01 f
stat -c '%X %Y' f
touch -r f g
stat -c '%X %Y' g
touch -t 200405060708.09 g
stat -c %y g
touch -c nothing
ls nothing
touch -d @1.5 e
stat -c %.Y e
touch -d '1969-12-31 23:59:58 UTC' neg
stat -c %Y neg
touch -d '2106-02-08' late
stat -c %Y late
touch -d '2300-01-01' later
stat -c %Y later
touch -r f -d '+1 day' g
stat -c %Y g
touch h
[ h -nt f ] && echo now
touch no/such/f
echo $?
touch .
touch -h -d 2001-01-01 lnk
echo $?
ln -s f sl
touch -h -d 2001-01-01 sl
stat -c %Y sl f
