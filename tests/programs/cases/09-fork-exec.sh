# Descriptors, offsets and unlinked files over fork, vfork and exec; the exec family and its errors.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void forks(void)
{
    int fd = open("f", O_CREAT | O_RDWR | O_TRUNC, 0644);

    write(fd, "parent1;", 8);
    pid_t p = fork();

    if (!p) {
        write(fd, "child1;", 7);
        int e = dup(fd);

        close(fd);
        write(e, "child2;", 7);
        _exit(3);
    }
    w(p);
    write(fd, "parent2;", 8);
    p = vfork();
    if (!p) {
        execl("/bin/sh", "sh", "-c", "echo shell >&$0", "3", (char *) 0);
        _exit(9);
    }
    w(p);
    write(fd, "after;", 6);
    p = vfork();
    if (!p) {
        _exit(4);
    }
    w(p);
    p = fork();
    if (!p) {
        close(fd);
        pid_t q = fork();

        if (!q) {
            int g = open("g", O_CREAT | O_WRONLY, 0600);

            write(g, "gc", 2);
            _exit(0);
        }
        w(q);
        exit(5);
    }
    w(p);
    show("f");
    show("g");
    /* unlinked file survives in child */
    int u = open("u", O_CREAT | O_RDWR, 0600);

    write(u, "unl", 3);
    unlink("u");
    p = fork();
    if (!p) {
        usleep(50000);
        char b[9];
        ssize_t n = pread(u, b, 9, 0);

        printf("child reads %.*s\n", (int) n, b);
        fflush(stdout);
        execl("/bin/sh", "sh", "-c", "cat <&$0; echo; cat /dev/fd/$0", "4", (char *) 0);
        _exit(8);
    }
    lseek(u, 0, SEEK_SET);
    close(u);
    w(p);
    /* exec closes cloexec, keeps others */
    int c = open("f", O_RDONLY | O_CLOEXEC);

    printf("%d %d\n", fcntl(c, F_GETFD), fcntl(fd, F_GETFD));
    fflush(stdout);
    p = fork();
    if (!p) {
        char s[9];

        sprintf(s, "%d", c);
        execlp("sh", "sh", "-c", "cat <&$0 2>/dev/null || echo closed", s, (char *) 0);
    }
    w(p);
    p = fork();
    if (!p) {
        char *e[] = { "A=b", 0 };
        execle("/usr/bin/env", "env", (char *) 0, e);
    }
    w(p);
    p = fork();
    if (!p) {
        char *a[] = { "no-such-program", 0 };
        execvp(a[0], a);
        printf("%s\n", strerror(errno));
        fflush(stdout);
        execv("/etc/passwd", a);
        printf("%s\n", strerror(errno));
        execv("/", a);
        printf("%s\n", strerror(errno));
        fflush(stdout);
        _exit(0);
    }
    w(p);
    close(fd);
    close(c);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    forks();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
