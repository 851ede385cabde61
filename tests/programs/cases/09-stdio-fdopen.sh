# fdopen, dup2 under a stream, popen, tmpfile, streams on directories.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void fdo(void)
{
    int fd = open("fd1", O_CREAT | O_RDONLY, 0644);

    errno = 0;
    FILE *f = fdopen(fd, "w");

    printf("%d %d\n", f == NULL, errno);
    close(fd);
    fd = open("fd1", O_CREAT | O_RDWR, 0644);
    f = fdopen(fd, "a");
    printf("%d\n", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
    fputs("q", f);
    printf("%d\n", fclose(f));
    printf("%d\n", close(fd));
    f = fdopen(99, "r");
    printf("%d %d\n", f == NULL, errno);
    f = fopen("fd1", "r+");
    fd = fileno(f);
    int k = open("/etc/hostname", O_RDONLY);

    fgetc(f);
    fflush(f);
    dup2(k, fd);
    printf("dup %d\n", fgetc(f) > 0);
    fclose(f);
    char outside[] = "/tmp/fdopen.XXXXXX";

    close(mkstemp(outside));
    f = fopen(outside, "r+");
    unlink(outside);
    fd = fileno(f);
    k = open("fd1", O_RDWR);
    dup2(k, fd);
    printf("%c\n", fgetc(f));
    fseek(f, 0, SEEK_END);
    fputs("ww", f);
    printf("%d\n", fclose(f));
    show("fd1");
    f = popen("cat fd1", "r");
    char l[20];

    printf("%s\n", fgets(l, 20, f));
    printf("%d\n", pclose(f));
    f = popen("cat > pp; exit 3", "w");
    fputs("piped", f);
    printf("%d\n", pclose(f));
    show("pp");
    FILE *t = tmpfile();

    fputs("tmp", t);
    rewind(t);
    printf("%s\n", fgets(l, 20, t));
    fclose(t);
    f = setmntent("fd1", "r");
    printf("mnt %d\n", f != NULL);
    if (f)
        endmntent(f);
    f = fopen("lim", "w");
    fputs("abc", f);
    printf("%d\n", fileno(f) > 2);
    close(fileno(f));
    errno = 0;
    int r = fflush(f);

    printf("ebadf %d %d\n", r, errno);
    errno = 0;
    r = fclose(f);
    printf("%d %d\n", r, errno);
    f = fopen(".", "r");
    printf("dir %d", f != NULL);
    if (f) {
        errno = 0;
        int c = fgetc(f);

        printf(" %d %d %d\n", c, errno, ferror(f) != 0);
        fclose(f);
    }
    f = fopen(".", "w");
    printf("dirw %d %d\n", f == NULL, errno);
}

// Every mode on every kind of descriptor: whether it may, whether it appends, and where it is.
static void modes(void)
{
    const char *modes[] = {"r", "r+", "w", "w+", "a", "a+"};
    int access[] = {O_RDONLY, O_WRONLY, O_RDWR};

    for (int m = 0; m < 6; m++)
        for (int a = 0; a < 3; a++)
            for (int app = 0; app < 2; app++)
                for (int how = 0; how < 4; how++) {
                    int fd = open("modes", O_CREAT | O_TRUNC | O_RDWR, 0644);

                    write(fd, "0123456789", 10);
                    close(fd);
                    fd = open("modes", access[a] | (app ? O_APPEND : 0));
                    lseek(fd, 4, SEEK_SET);
                    errno = 0;
                    FILE *f = fdopen(fd, modes[m]);

                    printf("%s %d %d %d: %d %d %ld", modes[m], a, app, how, errno, fcntl(fd, F_GETFL) & O_APPEND, (long)lseek(fd, 0, SEEK_CUR));
                    if (f == NULL) {
                        close(fd);
                        puts("");
                        continue;
                    }
                    if (how == 1)
                        printf(" put %d", fputs("ab", f));
                    if (how == 2)
                        printf(" get %d", fgetc(f));
                    if (how == 3)
                        printf(" seek %d put %d", fseek(f, 2, SEEK_SET), fputc('x', f));
                    printf(" tell %ld", ftell(f));
                    printf(" flush %d tell %ld", fflush(f), ftell(f));
                    printf(" close %d\n", fclose(f));
                    show("modes");
                }
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    modes();
    fdo();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
