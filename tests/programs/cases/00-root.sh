# The root is an empty directory in which work can begin.
# roots: both
pwd
ls -A
cd .. && ls -A | sort
test -d "$ROOT" && echo directory
# By its name in the directory above it is the same one, and can't be made a second time.
root=$ROOT name=${ROOT##*/}
cd "$(dirname "$root")"
mkdir "$name" 2>&1 | grep -c 'File exists'
mkdir -p "$name/by-name/deep" && rmdir "$root/by-name/deep" "$root/by-name" && echo the same
(exec > "$name") 2>&1 | grep -c 'Is a directory'
ln -s nowhere "$name/" && rm "$root/nowhere" && echo within
