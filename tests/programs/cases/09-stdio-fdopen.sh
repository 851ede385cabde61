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

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    fdo();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
