# An extra file in an empty directory outside the root is reported.
# expect: tree
[ $SIDE = a ] || touch "$OUT/f"
