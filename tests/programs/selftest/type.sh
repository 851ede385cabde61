# Another file type is reported.
# expect: tree
[ $SIDE = a ] && mkfifo f || touch f
