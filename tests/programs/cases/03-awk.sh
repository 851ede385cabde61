# gawk and mawk read, write, append, close and re-read files.
# needs: gawk mawk
seq 5000 >n; printf 'a 1\nb 2\na 3\n' >k
for awk in gawk mawk; do echo "== $awk"; mkdir $awk; cd $awk
$awk '{s += $1} END {print s}' ../n
$awk '{c[$1] += $2} END {print c["a"], c["b"]}' ../k
$awk 'NR % 1000 == 0 {print > "thousand"}' ../n
cat thousand
$awk '{print > ($1 % 3 ".out")}' ../n
wc -l *.out
$awk '{print >> "app"}' ../k
$awk '{print >> "app"}' ../k
cat app
$awk 'BEGIN {while ((getline line < "../k") > 0) n++; print n; close("../k"); getline x < "../k"; print x; print (getline y < "missing")}'
$awk 'BEGIN {"echo from cmd" | getline x; print x; print "b\na" | "sort"; close("sort"); print "after"}'
$awk 'BEGIN {print "x" > "w"; close("w"); getline y < "w"; print "got", y; system("cat w; echo sys > s"); getline z < "s"; print z}'
$awk 'BEGIN {print "unflushed" > "f"; fflush("f"); system("cat f"); print "two" > "f"}'
cat f
$awk 'FNR == NR {a[FNR] = $0; next} {print a[FNR], $0}' ../k ../k
$awk '{print FILENAME, FNR}' ../k - <../k
$awk 'END {print NR}' <../n
$awk 'BEGIN {printf "%s", "no newline" > "/dev/stdout"; print "err" > "/dev/stderr"}' 2>e
cat e
echo '{print NF}' >prog
$awk -f prog ../k
$awk '{print}' ../nofile
echo $?
$awk 'BEGIN {print "x" > "no/such/f"}' 2>/dev/null
echo $?
$awk 'BEGIN {for (i = 0; i < 50; i++) print i > ("many" i); for (i = 0; i < 50; i++) close("many" i)}'
ls | wc -l
$awk -F: '{print $1 | "sort -u | head -1"}' /etc/passwd
$awk 'BEGIN {while (("ls many4*" | getline f) > 0) print f}'
$awk 'BEGIN {exit 3} END {print "end" > "end"}'
echo $?
cat end
$awk 'BEGIN {RS = ""} {print NF}' ../k
$awk 'BEGIN {for (i = 0; i < 100000; i++) print i, i * i > "big"}'
sha256sum big
$awk '{print $2}' big | tail -1
$awk 'NR == 2 {nextfile} {print FILENAME}' ../k ../n | head -3
rm many*
cd ..
done
gawk -i inplace '{print $2, $1}' k
cat k
gawk 'BEGIN {while ((getline l < "n") > 0 && ++i < 3) print l; print "x" |& "cat"; close("cat", "to"); "cat" |& getline y; print y}'
gawk 'ENDFILE {print FILENAME, FNR}' k n
gawk '{print > "/dev/fd/3"}' k 3>fd3
cat fd3
gawk 'BEGIN {printf "a" > "t"; printf "b" >> "t"}'
cat t
echo
gawk -v RS='\0' '{print length}' n
gawk '@load "filefuncs"; BEGIN {print chdir("gawk"); n = stat("big", s); print n, s["size"], s["type"]}'
gawk '@load "readdir"; {print}' gawk 2>/dev/null | wc -l
