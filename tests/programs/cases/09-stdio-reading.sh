# Streams: reading, pushing back, seeking, buffering, far offsets, positions left behind.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void frd(void)
{
    FILE *f = fopen("big", "w+");

    for (int i = 0; i < 200000; i++)
        fprintf(f, "%d\n", i);
    printf("tell %ld\n", ftell(f));
    rewind(f);
    static char b[2000000];
    char l[100];

    fgets(l, 100, f);
    fgets(l, 100, f);
    printf("%s", l);
    ungetc('x', f);
    printf("%c", fgetc(f));
    size_t n = fread(b, 1, 50000, f);

    printf("%zu %.5s %ld\n", n, b, ftell(f));
    n = fread(b, 7, 10000, f);
    printf("%zu %.5s %ld\n", n, b, ftell(f));
    fgets(l, 100, f);
    printf("%s", l);
    ungetc('q', f);
    ungetc('w', f);
    n = fread(b, 1, 30000, f);
    printf("%zu %.5s %ld\n", n, b, ftell(f));
    n = fread(b, 1, sizeof b, f);
    printf("%zu %.5s %ld eof %d\n", n, b, ftell(f), feof(f) != 0);
    n = fread(b, 1, sizeof b, f);
    printf("%zu eof %d err %d\n", n, feof(f) != 0, ferror(f));
    fseek(f, 100, SEEK_SET);
    fputs("XYZ", f);
    fflush(f);
    fseek(f, 90, SEEK_SET);
    n = fread(b, 1, 20000, f);
    printf("%zu %.20s\n", n, b);
    fseeko(f, 5000000000LL, SEEK_SET);
    fputs("far", f);
    fflush(f);
    printf("%lld\n", (long long) ftello(f));
    struct stat st;

    fstat(fileno(f), &st);
    printf("size %lld\n", (long long) st.st_size);
    fpos_t p;

    rewind(f);
    fgetpos(f, &p);
    fgets(l, 100, f);
    fsetpos(f, &p);
    fgets(l, 100, f);
    printf("%s", l);
    printf("%d\n", fclose(f));
    truncate("big", 100);
    f = fopen("big", "r");
    fgetc(f);
    fflush(f);
    printf("off %ld\n", (long) lseek(fileno(f), 0, SEEK_CUR));
    fgetc(f);
    fclose(f);
    f = fopen("big", "a+");
    printf("%ld", ftell(f));
    fgets(l, 100, f);
    printf("%s", l);
    fputs("END", f);
    printf("%ld\n", ftell(f));
    fclose(f);
    f = fopen("big", "r");
    setvbuf(f, NULL, _IONBF, 0);
    n = fread(b, 1, 60000, f);
    printf("%zu\n", n);
    fclose(f);
    f = fopen("big", "w");
    setvbuf(f, NULL, _IOLBF, 0);
    fputs("a\nb", f);
    show("big");
    fclose(f);
    f = fopen("big", "w");
    char vb[16];

    setvbuf(f, vb, _IOFBF, 16);
    for (int i = 0; i < 10; i++)
        fprintf(f, "line %d;", i);
    printf("pend %zu\n", __fpending(f));
    show("big");
    fclose(f);
    show("big");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    frd();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
