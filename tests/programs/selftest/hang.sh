# A hang is reported, though the hanging process is a grandchild.
# expect: hung
[ $SIDE = a ] || (sleep 50; true)
