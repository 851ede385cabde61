# Shared libraries are linked in FLAC and loaded from it by dlopen.
# needs: gcc
cp "$LIB"/twice/* .
gcc -shared -fPIC -o libs.so lib.c && gcc -o prog4 main.c -L. -l:libs.so
cat >dl.c <<'END'
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
    void *h = dlopen("./libs.so", RTLD_NOW);
    if (!h) { puts(dlerror()); return 1; }
    int (*f)(int) = (int (*)(int))dlsym(h, "twice");
    printf("dlopen: %d\n", f(21));
    return 0;
}
END
gcc -o dl dl.c -ldl && ./dl
python3 -c 'import ctypes; print(ctypes.CDLL("./libs.so").twice(4))'
rm -f *.so prog* dl
