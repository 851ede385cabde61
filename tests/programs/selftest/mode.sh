# Another mode is reported.
# expect: tree
touch f; [ $SIDE = a ] || chmod 600 f
