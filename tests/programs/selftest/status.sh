# Another exit status is reported.
# expect: exit status
[ $SIDE = a ]; exit $?
