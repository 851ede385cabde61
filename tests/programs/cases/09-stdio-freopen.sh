# freopen keeps the stream, from FLAC to the kernel and back, and after failures.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void reop(void)
{
    FILE *f = fopen("r1", "w");

    fputs("one", f);
    FILE *g = freopen("r2", "w", f);

    printf("same %d\n", f == g);
    fputs("two", g);
    g = freopen("/dev/null", "r", g);
    printf("same %d %d\n", f == g, fgetc(g));
    g = freopen("r1", "r", g);
    printf("same %d %c\n", f == g, fgetc(g));
    g = freopen(NULL, "r+", g);
    printf("null %d %c\n", g != NULL, g ? fgetc(g) : '?');
    if (g) {
        fseek(g, 0, SEEK_END);
        fputs("+", g);
    }
    if (g)
        fclose(g);
    show("r1");
    show("r2");
    f = fopen("/etc/hostname", "r");
    int fd = fileno(f);

    fgetc(f);
    g = freopen("r1", "r", f);
    printf("kernel->: same %d fd %d %c\n", f == g, fileno(g) == fd, fgetc(g));
    char l[10];

    printf("%s\n", fgets(l, 10, g));
    printf("eof %d\n", fgetc(g));
    g = freopen("r3", "w+", f);
    fputs("three", g);
    rewind(g);
    printf("%s\n", fgets(l, 10, g));
    g = freopen("/etc/hostname", "r", g);
    printf("back %d\n", fgetc(g) > 0);
    fclose(g);
    show("r3");
    f = fopen("r1", "r");
    g = freopen("nonexist/x", "r", f);
    printf("fail %d %s\n", g == NULL, strerror(errno));
    f = fopen("/etc/hostname", "r");
    g = freopen("nonexist", "r", f);
    printf("fail %d %s\n", g == NULL, strerror(errno));
    f = fopen("/etc/hostname", "r");
    fd = fileno(f);
    g = freopen("ax", "a", f);
    fprintf(g, "x%d", 1);
    printf("%ld\n", ftell(g));
    fclose(g);
    show("ax");
    printf("fd closed %d\n", fcntl(fd, F_GETFD) == -1);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    reop();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
