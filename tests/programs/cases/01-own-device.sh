# The tree is a device of its own, as a mounted file system is.
# tmpfs-only: a plain directory is not a device of its own
# roots: both
mkdir d; touch d/f
[ "$(stat -c %d .)" = "$(stat -c %d d/f)" ] && echo "one device"
[ "$(stat -c %d .)" != "$(stat -c %d /)" ] && echo "of its own"
[ "$(stat -c %d .)" != "$(stat -c %d "$OUT")" ] && echo "not that of another directory"
find / -maxdepth 0 -xdev | wc -l; find . -xdev | sort
python3 -c 'import os; os.link("d/f", os.environ["OUT"] + "/f")' 2>&1 | tail -1 | sed "s/: 'd.*//"
python3 -c 'import os; os.rename("d/f", os.environ["OUT"] + "/f")' 2>&1 | tail -1 | sed "s/: 'd.*//"
