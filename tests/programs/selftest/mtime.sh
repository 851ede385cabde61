# A time of change that was not kept is reported.
# expect: tree
touch f; [ $SIDE = a ] && touch -d 2001-01-01 f; true
