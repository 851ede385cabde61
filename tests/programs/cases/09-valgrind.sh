# Programs run under valgrind, which finds nothing wrong with them that is not there on a kernel file system
# needs: valgrind
# limit: 480
# Valgrind itself is a static program, which makes its files by raw system calls, and its search for leaks reads every page that is mapped, the whole cache.
check() { TMPDIR=/tmp valgrind -q --leak-check=no --error-exitcode=9 "$@" 2>/dev/null; echo "$?"; }
seq 200000 >a
check cat a | tail -n 2
check cp a b
check dd if=a of=c bs=1M status=none
check grep -c 77 b
check sort -r -o d c
head -n 2 d
check tar --mtime=@0 -cf e a b c d
check mv e f
check ls
check rm a b
check ls -l /nothing
cmp c <(seq 200000) && sort -n d | cmp - c && tar tf f
