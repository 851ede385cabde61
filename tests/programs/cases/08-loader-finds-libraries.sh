# The loader finds shared libraries in FLAC by $ORIGIN and LD_LIBRARY_PATH.
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
gcc -shared -fPIC -o libs.so lib.c && gcc -o prog4 main.c -L. -l:libs.so -Wl,-rpath,'$ORIGIN' && ./prog4 out4
LD_LIBRARY_PATH=$PWD ./prog4 out4
rm -f *.so prog*
