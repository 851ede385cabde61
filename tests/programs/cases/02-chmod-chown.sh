# chmod, chown, chgrp and umask set modes as on tmpfs, set-id bits included.
echo hello >f
chmod 640 f
echo g >g
touch -d 2001-02-03 f g
touch h
ln -s f sl
for m in 777 u-x g+s,o-r a+X u=rw,go= +t =r o=u g-s,-t 0 4755 2644; do chmod $m f; stat -c '%a %A' f; done
chmod -v 644 f
chmod -c 644 f
chmod --reference=g f
mkdir -p d/e
touch d/x d/e/y
chmod -R u=rwX,go=rX d
find d -printf '%p %m\n' | sort
chmod -R a-w,+t d
find d -printf '%p %m\n' | sort
chmod -R u+w d
chmod 600 sl
stat -c %a f
chmod 600 missing
echo $?
chmod bogus f
echo $?
chmod g+s d
mkdir d/sub
stat -c %A d/sub
umask 0
touch d/open
mkdir d/opend
umask 022
stat -c '%a' d/open d/opend
chown $(id -u):$(id -g) f
echo $?
chown -R $(id -un) d
chown -h $(id -u) sl
chgrp $(id -g) f
chown --reference=g f
echo $?
chmod 6755 h
chown $(id -u) h
stat -c %a h
