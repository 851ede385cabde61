# Pipes, subshells, process substitution, coprocesses, background jobs and traps work on files in FLAC.
# roots: both
seq 1000 >n; cat n | sort -rn | head -3; cat n | while read -r x; do [ $((x % 250)) = 0 ] && echo $x; done
(cd /; pwd; echo in subshell >"$ROOT/case/s"); cat s; pwd | sed "s|$ROOT||"
diff <(seq 5) <(seq 2 6)
paste <(head -2 n) <(tail -2 n)
tee >(wc -l >count) <n >/dev/null
while [ ! -s count ]; do sleep 0.01; done
cat count
set -o pipefail; false | cat; echo $?; cat missing | wc -l; echo $?; set +o pipefail
cat n | head -1; echo "${PIPESTATUS[*]}" | sed 's/^141/0/'
(for i in 1 2 3; do echo a$i >>bg; done) & (for i in 1 2 3; do echo b$i >>bg; done) & wait
sort bg
rm bg
sleep 0.05 & p=$!; wait $p; echo "waited $?"; (exit 7) & wait $!; echo $?
trap 'echo leaving >>trapped' EXIT; trap 'echo usr1 >>trapped' USR1; kill -USR1 $$; cat trapped
(trap 'echo sub done >>trapped' EXIT; true); cat trapped
coproc cat
echo through >&${COPROC[1]}
read -r x <&${COPROC[0]}
echo "$x"
exec {COPROC[1]}>&-
wait
mapfile -t lines <n
echo ${#lines[@]} ${lines[999]}
mapfile -t -s 2 -n 2 part <n
echo "${part[*]}"
readarray -d, -t parts <<<"a,b,c"
echo ${#parts[@]}
IFS=: read -r a b c <<<"1:2:3"
echo $a$b$c
read -r -N 3 x <n
printf '%q\n' "$x"
read -r -d 5 x <n
printf '%q\n' "$x"
yes | head -c 100000 | wc -c; seq 100000 | tail -1; cat n n n | sort -u | wc -l
f() { local l; while read -r l; do echo "f:$l"; done; }; f < <(head -2 n); f <<<"x"
exec 3< <(echo sub); cat <&3; exec 3<&-
echo 'echo nested; cat' >prog; (cat prog; echo 'data line') | bash | head -5
bash <<'END' >out 2>&1
echo from here; ls nowhere
END
cat out; bash -c 'echo "$0 $1" >args' x y; cat args; cat out - n <args | tail -1
