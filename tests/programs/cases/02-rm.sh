# rm, rmdir and unlink remove, and refuse as on tmpfs.
mkdir -p s t/y x
touch a b c
mkdir -p r/1/2/3
touch r/1/f r/1/2/f
rm r
echo $?
rm -d r
echo $?
rm -r r
ls -d r
rm nothing
echo $?
rm -f nothing
echo $?
mkdir em
rm -dv em
touch a b c
rm -v a b c
rm -rfv moved | sort
rm -rf . ; echo $?; rm -rf ./; rm -r ..; touch -- -x; rm -x; rm -- -x; ls
mkdir -p p/q/r
rmdir p
echo $?
rmdir -p p/q/r
ls -d p
mkdir -p n/o
touch n/f
rmdir -p n/o
rmdir --ignore-fail-on-non-empty n
echo $?
