# What programs say when stdout is full or closed.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
int main(void)
{
    puts("hi");
    fprintf(stderr, "e\n");
    char *unknown = strerror(1729576);
    errno = 2;
    perror("p");
    errno = -5;
    perror("");
    puts(unknown);
    return fclose(stdout) != 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t >o 2>e
cat o e; ./t >&-; echo $?; ./t >/dev/full; echo $?
seq 100000 >/dev/full; echo $?; seq 10 >&-; echo $?; sort >&- <<<a; echo $?; awk 'BEGIN { print 1 }' >&-; echo $?; sed p >&- <<<a; echo $?
cat <&-; echo $?; sort <&-; echo $?; ls nonexistent 2>&-; echo $?; ls nonexistent 2>/dev/full; echo $?
