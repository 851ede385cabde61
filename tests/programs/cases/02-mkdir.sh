# mkdir and link make, and refuse as on tmpfs; deep and large directories are removed.
mkdir -p s t/y x
touch a b c
mkdir -m 700 s
mkdir -p -m 711 u/v/w
mkdir -v vv
stat -c '%a %n' s u u/v u/v/w
mkdir s
echo $?
mkdir no/such
echo $?
touch pl
mkdir pl
echo $?
mkdir pl/x
echo $?
unlink pl
unlink s
echo $?
touch l1
link l1 l2
stat -c %h l1
link l1 l2
echo $?
unlink l2
link s s2 2>/dev/null
echo $?
chmod 500 s
touch s/x 2>/dev/null
rm -rf s
mkdir -p deep
(cd deep; for i in $(seq 60); do mkdir d$i; cd d$i; done; pwd | sed "s|$ROOT||" | tr -cd / | wc -c; touch leaf)
find deep -name leaf | tr -cd / | wc -c
rm -r deep
ls
mkdir big
(cd big; seq -f 'file%04g' 1500 | xargs touch; ls | wc -l; ls | tail -1)
rm -r big
ls -d big
(umask 160; mkdir -p masked/sub; stat -c %A masked masked/sub; cd masked && pwd | sed "s|$ROOT||"); chmod -R u+rwx masked; rm -r masked
