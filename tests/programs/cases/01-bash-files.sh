# cd, globs and file tests see the tree as it is.
# roots: both
shopt -s extglob
mkdir -p a/b/c d; touch a/1 a/2 a/b/3 a/b/c/4 .hidden 'with space' $'new\nline' '[x]' 'é'
for f in *; do printf '%q\n' "$f"; done
for f in .* ; do echo "$f"; done
shopt -s globstar nullglob dotglob
echo **
echo **/
echo a/**/[0-9]
echo nothing*
echo !(a|d)
shopt -u dotglob nullglob
echo nothing*; echo a/?; echo {a,d}/*; echo a/*/; echo ./a/[!1]
cd a
pwd | sed "s|$ROOT||"
cd b/c
pwd -P | sed "s|$ROOT||"
cd -
cd ../..
pwd | sed "s|$ROOT||"
pushd a/b; pushd ../../d; dirs -v; popd; popd; dirs
CDPATH=a:d cd b; pwd; cd "$OLDPWD"; cd nowhere; echo "status $?"
ln -s a/b link
ln -s nowhere dangling
cd link
pwd
pwd -P
cd ..
pwd
cd -P link
pwd
cd "$ROOT/case"
cd //$ROOT//case/./a/../a; pwd; cd "$ROOT/case"
for t in e f d L h r w x s S p O G N; do for f in a a/1 link dangling missing; do test -$t $f && echo "-$t $f"; done; done
echo data >a/1; test -s a/1 && echo "not empty"
touch -d 2001-01-01 old
touch -d 2002-01-01 new
test new -nt old && echo newer
test old -ot new && echo older
[[ old -nt new ]] || echo no
ln old hard
[[ old -ef hard ]] && echo same
[[ old -ef new ]] || echo different
[[ a/b -ef link ]] && echo "same dir"
umask
umask 077
touch private
mkdir privated
umask 022
stat -c '%a %n' private privated
umask u=rwx,g=,o=
umask -S
umask 022
chmod 0 private; test -r private; echo "readable as $((EUID ? 1 : 0)): $?"
cd a/b && rmdir ../../d && ls .. && cd ../..
mkdir gone; cd gone; rmdir ../gone; ls; pwd; touch x; echo "status $?"; cd ..; cd "$ROOT/case"; ls
