# csplit cuts at lines and patterns.
seq 20000 >n
csplit n 5 100 /^500$/ '{1}' 2>&1
wc -l xx*
csplit -q -f c -b '%03d' -z n '/0000$/' '{*}'
ls c0*
csplit -k n 99999
echo $?
ls xx*
csplit -s n '%10000%' 12000
wc -l xx00 xx01
