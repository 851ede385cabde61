# tail -f shows what another process appends, over truncation and rename, and ends with --pid.
sleep 30 & keep=$!
echo start >log; tail -f -s 0.05 --pid=$keep log >seen 2>err & t=$!
for i in 1 2 3; do sleep 0.1; echo line $i >>log; done; sleep 0.5
: >log; sleep 0.4; echo after >>log; sleep 0.5
kill $keep; wait $keep 2>/dev/null; wait $t; echo "tail ended $?"
cat seen; cat err
sleep 30 & keep=$!
echo one >rot; tail -F -n +1 -s 0.05 --pid=$keep rot >seen2 2>err2 & t=$!
sleep 0.4; mv rot rot.1; echo two >rot; sleep 0.6; echo three >>rot; sleep 0.5
kill $keep; wait $keep 2>/dev/null; wait $t; echo "tail ended $?"
cat seen2
rm err2
: >grow
(for i in 1 2 3 4 5; do echo w$i; sleep 0.05; done >>grow) & tail -n +1 -f -s 0.05 --pid=$! grow 2>/dev/null >seen3
wait
tail -n +1 grow
grep -c w1 seen3
