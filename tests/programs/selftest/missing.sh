# A missing file is reported.
# expect: tree
[ $SIDE = a ] && touch f; true
