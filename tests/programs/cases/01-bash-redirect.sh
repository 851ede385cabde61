# Redirections in bash create, truncate, append and read files in the working directory.
# roots: both
echo one >f; echo two >>f; printf '%s-%d\n' three 3 >>f; cat f
cat <f; wc -l <f
cat <<END >g
here $((1+2))
	tab $(echo sub)
END
cat <<-'END' >>g
	no $expansion
	END
cat g
read -r first <f; echo "first=$first"
x=$(<f); echo "${#x}"
cat <<<"here string" >h; cat h
while read -r line; do echo "<$line>"; done <f >loop; cat loop
for i in 1 2 3; do echo $i; done >nums; cat nums
{ echo a; echo b; } >group; (echo c; echo d) >>group; cat group
>empty; : >empty2; ls
echo error >&2 2>err; ls nonexistent 2>err; cat err
ls nonexistent f >both 2>&1; cat both
ls nonexistent f 2>&1 >only | sed 's/^/piped: /'; cat only
ls nonexistent f &>amp; cat amp; ls nonexistent &>>amp; cat amp
echo x >|f; cat f
set -C; echo y >f; echo "status $?"; echo z >|f; cat f; echo new >noclob; cat noclob; set +C
echo rw >k; cat <>k; echo more 1<>k; cat k
cat <missing; echo "status $?"
echo >no/such/dir; echo "status $?"
echo >. ; echo "status $?"
