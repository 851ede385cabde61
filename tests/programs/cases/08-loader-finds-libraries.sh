# The loader finds shared libraries in FLAC by $ORIGIN and LD_LIBRARY_PATH.
# needs: gcc
cp "$LIB"/twice/* .
gcc -shared -fPIC -o libs.so lib.c && gcc -o prog4 main.c -L. -l:libs.so -Wl,-rpath,'$ORIGIN' && ./prog4 out4
LD_LIBRARY_PATH=$PWD ./prog4 out4
rm -f *.so prog*
