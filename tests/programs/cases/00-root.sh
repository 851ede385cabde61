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
# No file is made in its place through links outside, which lead to it.
links=$(mktemp -d "$OUT/links.XXXXXX") && cd "$links" || exit
ln -s "$root" to-root && ln -s to-root to-link
for link in to-root to-link; do
    (exec > $link) 2>&1 | grep -c 'Is a directory'
    (exec >> ./$link) 2>&1 | grep -c 'Is a directory'
    touch $link && test -d $link/ && echo still a directory
    echo text >$link/made && cat "$root/made" && rm $link/made
done
ln -s "$root/by-link" to-file && echo made >to-file && cat "$root/by-link" && rm "$root/by-link" to-file
ln -s nowhere to-nowhere && echo made >to-nowhere && cat nowhere
cd / && rm -r "$links"
