# Another link count is reported.
# expect: tree
echo x >f; [ $SIDE = a ] && ln f g || echo x >g
