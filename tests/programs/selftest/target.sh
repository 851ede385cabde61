# Another link target is reported.
# expect: tree
ln -s $SIDE l
