# mkstemp and its kin.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void temps(void)
{
    char t[] = "xxXXXXXX", t2[] = "yyXXXXXX.c", t3[] = "ddXXXXXX", t4[] = "bad", t5[] = "/dev/shm/qqXXXXXX", t6[] = "mtXXXXXX";
    int fd = mkstemp(t);
    struct stat s;

    fstat(fd, &s);
    printf("%d %o %d\n", fd > 2, s.st_mode, strncmp(t, "xx", 2) == 0 && strcmp(t, "xxXXXXXX"));
    fd = mkostemps(t2, 2, O_CLOEXEC);
    printf("%d %d %s\n", fd > 2, fcntl(fd, F_GETFD), t2 + 8);
    printf("%d\n", mkdtemp(t3) == t3);
    stat(t3, &s);
    printf("%o\n", s.st_mode);
    printf("%d %d\n", mkstemp(t4), errno);
    fd = mkstemp(t5);
    printf("%d %d\n", fd > 2, access(t5, F_OK));
    unlink(t5);
    printf("%d\n", strlen(mktemp(t6)) == 8);
    char no[] = "nodir/XXXXXX";

    printf("%d %d\n", mkstemp(no), errno);
    char *n = tempnam(".", "pre");

    printf("%d\n", n != 0 && access(n, F_OK) != 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    temps();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t 2>&1
rm -rf xx* yy* dd*
