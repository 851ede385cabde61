# Scripts and programs stored in FLAC are sourced and executed.
# roots: both
cat >s.sh <<'END'
#!/bin/bash
echo "script $0 with $#: $*"; echo "from $(pwd | sed "s|$ROOT||")"
END
chmod +x s.sh
./s.sh a b
bash s.sh c
. ./s.sh d | sed 's/script [^ ]*/script/'
"$ROOT/case/s.sh" e
PATH=.:$PATH s.sh f
PATH=$ROOT/case:$PATH s.sh g
chmod -x s.sh; ./s.sh; echo "status $?"; chmod +x s.sh
printf '#!/usr/bin/env python3\nimport sys\nprint("python", sys.argv[1:], open(sys.argv[0]).readline())\n' >p
chmod +x p
./p 1 2
printf 'echo no shebang $1\n' >n; chmod +x n; ./n x
printf '#!/no/such/interpreter\n' >bad; chmod +x bad; ./bad 2>/dev/null; echo "status $?"
printf '#!./s.sh -opt\n' >nest; chmod +x nest; ./nest x | sed 's/from.*//'
mkdir bin
cp /bin/echo bin/myecho
bin/myecho an ELF program
PATH=$PWD/bin:$PATH myecho found
cp /bin/cat /bin/ls bin
bin/cat n
bin/ls
ln -s bin/myecho lecho; ./lecho through a link; ln bin/myecho hecho; ./hecho through a hard link
cd bin; ./myecho relative; ../s.sh up | head -1; cd ..
echo 'var=set; func() { echo "func $var"; }' >lib; source lib; func
echo 'exit 9' >ex; bash ex; echo $?; (. ./ex); echo $?
./missing 2>/dev/null; echo "status $?"; ./bin 2>/dev/null; echo "status $?"
exec 3<s.sh; bash /dev/fd/3 x 2>&1 | tail -1; exec 3<&-
(exec ./s.sh replaced); (exec bin/cat <n); bash -c 'exec ./bin/myecho "$@"' _ a 'b c'
env -i PATH=/usr/bin:/bin true; echo "env -i $?"
for i in 1 2 3 4 5; do ./bin/myecho $i; done >each; cat each
(sleep 0.1; echo "late") >late & wait; cat late
while read -r l; do eval "$l"; done <<<'echo evaluated > ev'; cat ev
printf 'a b\nc d\n' >sel; select x in one two; do echo "sel $x"; break; done <<<1 2>/dev/null
