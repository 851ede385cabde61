# What a program leaves unread of its stdin is there for the next one, or not, as on the kernel's files.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
int main(int c, char **v)
{
    char l[100];

    if (v[1][0] == '5') {
        ungetc('Z', stdin);
        int a = getchar(), b = getchar();

        printf("%c%c", a, b);
        ungetc('Y', stdin);
        fflush(stdin);
        printf("%ld\n", (long) lseek(0, 0, SEEK_CUR));
        fseek(stdin, 2, SEEK_SET);
        printf("%s", fgets(l, 100, stdin));
        exit(0);
    }
    fgets(l, 100, stdin);
    printf("%s", l);
    if (v[1][0] == '1')
        exit(0);
    _exit(0);
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
seq 5 >in
(./t 1; cat) <in; (./t 2; cat) <in; seq 3 | (./t 1; cat); (./t 5; cat) <in
