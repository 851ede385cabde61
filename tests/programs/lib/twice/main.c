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
