# One changed byte in a file, and nothing else, is reported.
# expect: tree
printf "ab%s" "$SIDE" >f
