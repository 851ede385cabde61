# exec, duplicated descriptors and shared offsets behave as in the kernel.
# roots: both
exec 3>f; echo a >&3; echo b >&3; exec 3>&-; cat f
exec 4<f; read -r x <&4; read -r y <&4; echo "$x$y"; read -r z <&4; echo "end $?"; exec 4<&-
exec 5<>f; read -r x <&5; echo X >&5; exec 5>&-; cat f
exec 3>g 4>&3; echo one >&3; echo two >&4; exec 3>&-; echo three >&4; exec 4>&-; cat g
exec {fd}>h; echo "named" >&$fd; exec {fd}>&-; cat h
echo closed >&9; echo "status $?"
{ echo out; echo err >&2; } >o 2>e; cat o e
exec 6>&1 >log; echo to log; exec >&6 6>&-; echo back; cat log
printf '1\n2\n3\n4\n' >n; { read -r a; read -r b; cat; } <n; echo "$a$b"
{ head -n1 >/dev/null; cat; } <n
exec 7<n; (read -r a <&7; echo "sub $a"); read -r b <&7; echo "parent $b"; exec 7<&-
exec 8>>ap; (echo child >&8); echo parent >&8; exec 8>&-; cat ap
exec 3>t; echo 123456 >&3; : >t; echo 7 >&3; exec 3>&-; od -c t
exec 3>>t; echo 123 >&3; : >t; echo 7 >&3; exec 3>&-; od -c t
exec 3<n; rm n; cat <&3; exec 3<&-; ls
cat /dev/fd/3 3<f
cat /dev/stdin <f
echo via >/dev/stdout
echo viafile >q
cat </proc/self/fd/0 <q
exec 3<q; cat /proc/self/fd/3; exec 3<&-
bash -c 'cat <&5' 5<q
exec 3<q 4<&3-; cat <&4; exec 4<&-; { true >&3; } 2>/dev/null; echo "moved $?"
exec 10>ten 200>twohundred; echo x >&10; echo y >&200; exec 10>&- 200>&-; cat ten twohundred
