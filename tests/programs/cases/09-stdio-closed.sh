# Standard streams that were closed: later use fails, numbers are taken by others.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
int main(int c, char **v)
{
    char l[100];

    if (v[1][0] == '3') {
        fclose(stdin);
        FILE *f = fopen("n", "w+");

        printf("fd %d\n", fileno(f));
        errno = 0;
        int r = getchar();

        printf("%d %d\n", r, errno);
        fputs("q", f);
        fclose(f);
        FILE *g = freopen("n", "r", stdin);

        printf("%d %d\n", g == stdin, g ? fileno(g) : -1);
        r = g ? getchar() : -2;
        printf("%d\n", r);
        return 0;
    }
    {
        close(1);
        int fd = open("n1", O_CREAT | O_WRONLY | O_TRUNC, 0644);

        printf("to n1\n");
        fflush(stdout);
        fprintf(stderr, "%d\n", fd);
        int r = fclose(stdout);

        fprintf(stderr, "%d\n", r);
        errno = 0;
        r = puts("x");
        fprintf(stderr, "%d %d\n", r, errno);
        r = fflush(stdout);
        fprintf(stderr, "%d\n", r);
        r = fclose(stdout);
        fprintf(stderr, "fc %d\n", r);
        return 0;
    }
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t 3 </dev/null
cat n; ./t 4; cat n1; ./t 4 >x; cat x n1
