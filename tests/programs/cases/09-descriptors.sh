# dup, dup2, dup3, fcntl; poll, select, epoll and terminals on files.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void dups(void)
{
    int fd = open("d", O_CREAT | O_RDWR | O_TRUNC, 0644);
    int e = dup(fd);

    write(fd, "ab", 2);
    write(e, "cd", 2);
    printf("%d %ld\n", e - fd, (long) lseek(fd, 0, SEEK_CUR));
    printf("%d\n", dup2(e, 20));
    write(20, "ef", 2);
    close(fd);
    close(e);
    write(20, "gh", 2);
    show("d");
    int k = open("/dev/null", O_RDWR);

    printf("%d\n", dup2(k, 20));
    write(20, "XX", 2);
    show("d");
    fd = open("d", O_RDWR | O_APPEND);
    printf("%d %d\n", dup3(fd, 20, O_CLOEXEC), fcntl(20, F_GETFD));
    write(20, "app", 3);
    show("d");
    printf("%d %d\n", dup3(fd, fd, 0), errno);
    printf("%d\n", dup2(fd, fd) == fd);
    printf("%d %d\n", dup2(99, 3), errno);
    printf("%d %d\n", dup(99), errno);
    printf("%x %d\n", fcntl(20, F_GETFL), fcntl(20, F_SETFL, O_NONBLOCK));
    printf("%x %x\n", fcntl(fd, F_GETFL), fcntl(20, F_GETFL));
    printf("%d %d\n", fcntl(fd, F_DUPFD, 30), fcntl(fd, F_DUPFD_CLOEXEC, 30));
    printf("%d\n", fcntl(31, F_GETFD));
    printf("tty %d %d %s\n", isatty(fd), errno, ttyname(fd) ? "x" : "null");
    struct pollfd pf = { fd, POLLIN | POLLOUT, 0 };
    printf("poll %d %x\n", poll(&pf, 1, 0), pf.revents);
    fd_set r, wr;

    FD_ZERO(&r);
    FD_SET(fd, &r);
    wr = r;
    struct timeval tv = { 0, 0 };
    printf("sel %d\n", select(fd + 1, &r, &wr, 0, &tv));
    int ep = epoll_create1(0);
    struct epoll_event ev = { EPOLLIN };
    printf("epoll %d %d\n", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), errno);
    close(ep);
    close(30);
    close(31);
    close(20);
    close(k);
    close(fd);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    dups();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
