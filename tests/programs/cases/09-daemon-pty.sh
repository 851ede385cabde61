# daemon, forkpty and system with output in a file.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
#include <pty.h>
static void misc(void)
{
    int fd = open("dm", O_CREAT | O_RDWR | O_TRUNC, 0644);

    dup2(fd, 1);
    printf("before\n");
    fflush(stdout);
    pid_t p = fork();

    if (!p) {
        daemon(1, 1);
        printf("daemon\n");
        fflush(stdout);
        exit(0);
    }
    waitpid(p, 0, 0);
    struct stat s;
    do
        usleep(10000);
    while (fstat(1, &s) || s.st_size < 14);
    int m;
    char b[100];

    p = forkpty(&m, 0, 0, 0);
    if (!p) {
        printf("tty %d\n", isatty(1));
        exit(0);
    }
    ssize_t n = read(m, b, 100);

    write(1, b, n);
    w(p);
    system("echo sys; exit 2");
    printf("%d\n", system("exit 3"));
    fflush(stdout);
    dup2(2, 1);
    show("dm");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    misc();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c -lutil 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
