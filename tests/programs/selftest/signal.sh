# A death by signal is reported.
# expect: signal 11
[ $SIDE = a ] || kill -SEGV $$
