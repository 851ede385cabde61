# Shared libraries are linked in FLAC and loaded from it by dlopen.
# needs: gcc
cat >lib.c <<'END'
#include "lib.h"
int twice(int x) { return FACTOR * x; }
END
echo '#define FACTOR 2
int twice(int);' >lib.h
cat >main.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include "lib.h"
int main(int argc, char **argv) {
    FILE *f = fopen(argv[1], "w");
    if (!f) { perror(argv[1]); return 2; }
    for (int i = 0; i < 1000; i++) fprintf(f, "%d\n", twice(i));
    fclose(f);
    f = fopen(argv[1], "r");
    int n = 0, v, sum = 0;
    while (fscanf(f, "%d", &v) == 1) { n++; sum += v; }
    printf("%d lines, sum %d\n", n, sum);
    return argc - 2;
}
END
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
