# fopen with every mode, on a file that is there and one that is not.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void modes(void)
{
    const char *ms[] = { "r", "r+", "w", "w+", "a", "a+", "rb", "wx", "w+xe", "re", "q", "", "rm", "rc", "ab+" };
    for (unsigned i = 0; i < sizeof ms / sizeof *ms; i++) {
        for (int exists = 0; exists < 2; exists++) {
            unlink("m");
            if (exists) {
                int fd = open("m", O_CREAT | O_WRONLY, 0644);

                write(fd, "0123456789", 10);
                close(fd);
            }
            errno = 0;
            FILE *f = fopen("m", ms[i]);

            printf("%s %d: %s", ms[i], exists, f ? "ok" : strerror(errno));
            if (f) {
                printf(" pos %ld fl %x cx %d", ftell(f), fcntl(fileno(f), F_GETFL) & ~O_LARGEFILE & ~0100000, fcntl(fileno(f), F_GETFD));
                errno = 0;
                int r = fputs("AB", f);

                printf(" put %d e%d", r < 0 ? -1 : 0, r < 0 ? errno : 0);
                errno = 0;
                r = fseek(f, 0, SEEK_SET);
                printf(" seek %d", r);
                errno = 0;
                r = fgetc(f);
                printf(" get %d e%d err %d eof %d", r, r < 0 ? errno : 0, ferror(f) != 0, feof(f) != 0);
                clearerr(f);
                errno = 0;
                r = fseek(f, -1, SEEK_END);
                printf(" %d %ld", r, ftell(f));
                r = fputc('Z', f);
                printf(" %d", r);
                printf(" cl %d\n", fclose(f));
                show("m");
            } else
                puts("");
        }
    }
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    modes();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
