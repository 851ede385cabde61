# env, nice, nohup and timeout run commands whose output goes into FLAC.
seq 10 >a
seq 10 >b
mkdir -p d/e
env A=1 sh -c 'echo $A >envf'
cat envf
env -C d sh -c 'ls; pwd' | sed "s|$ROOT||"
nice -n 5 sh -c 'echo nice >nf'
cat nf
nohup sh -c 'echo nohup out; echo nohup err >&2' </dev/null >/dev/null 2>&1
(nohup sh -c 'echo hup' <&- >nh.out 2>nh.err)
cat nh.out
timeout 5 cat nf
timeout 0.1 sleep 5
echo $?
timeout 5 sh -c 'echo in >tf; exit 3'
echo $?
(timeout -s KILL 1 sh -c 'echo part >kf; sleep 60'; echo $?) 2>/dev/null
cat kf
stdbuf -oL cat nf
stdbuf -o0 echo unbuffered >ub
cat ub
