# Other errors are reported.
# expect: stderr
echo $SIDE >&2
