# install copies with modes and makes directories.
echo hello >f
chmod 640 f
echo g >g
touch -d 2001-02-03 f g
install -m 751 f i1
stat -c %a i1
install -d -m 700 id/a/b
stat -c '%a' id id/a/b
install -D -p f id/x/y
stat -c %Y id/x/y f | uniq | wc -l
install -t id f g
install -b f i1
install -v -C f i1
install f missing/x
echo $?
install -s /bin/true stripped 2>/dev/null
ls i*
