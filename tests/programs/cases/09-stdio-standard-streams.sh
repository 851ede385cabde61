# stdout, stderr and stdin reopened and moved by dup2; perror, psignal and dprintf; children share them.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void stdre(void)
{
    fflush(stdout);
    int save = dup(1);
    FILE *g = freopen("so", "w", stdout);

    fprintf(stderr, "same %d fd %d\n", g == stdout, fileno(stdout));
    printf("to file %d\n", 5);
    puts("x");
    fflush(stdout);
    system("echo child");
    dup2(save, 1);
    printf("back\n");
    fflush(stdout);
    int fd = open("so2", O_CREAT | O_RDWR, 0644);

    dup2(fd, 1);
    printf("second\n");
    perror("perr");
    fflush(stdout);
    dup2(save, 1);
    close(fd);
    show("so");
    show("so2");
    fd = open("se", O_CREAT | O_RDWR, 0644);
    int s2 = dup(2);

    dup2(fd, 2);
    errno = ENOENT;
    perror("pe");
    fprintf(stderr, "err %s\n", "x");
    errno = EACCES;
    perror(NULL);
    psignal(9, "sig");
    dup2(s2, 2);
    show("se");
    dprintf(fd, "%s %d %f %Lf\n", "dpr", 7, 1.5, 2.5L);
    dprintf(1, "dp1 %d\n", 3);
    show("se");
    FILE *in = freopen("so", "r", stdin);

    printf("%d ", in == stdin);
    char l[50];

    while (fgets(l, 50, stdin))
        printf("got %s", l);
    printf("eof %d\n", feof(stdin) != 0);
    freopen("so2", "r", stdin);
    int c = getchar();

    printf("%c %ld\n", c, ftell(stdin));
    system("cat");
    fflush(stdin);
    system("echo; cat; echo");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    stdre();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t >out 2>err
cat out err
./t
