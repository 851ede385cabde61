# A descriptor sent through a socket is the same open file, though its name and the sender's descriptor are gone.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void rights(void)
{
    int s[2];

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    int fd = open("sr", O_CREAT | O_RDWR | O_TRUNC, 0644);

    write(fd, "hello", 5);
    pid_t p = fork();

    if (!p) {
        close(fd);
        usleep(30000);
        char c, cb[64];
        struct iovec io = { &c, 1 };
        struct msghdr m = { 0 };
        m.msg_iov = &io;
        m.msg_iovlen = 1;
        m.msg_control = cb;
        m.msg_controllen = sizeof cb;
        printf("%zd\n", recvmsg(s[1], &m, 0));
        int g;

        memcpy(&g, CMSG_DATA(CMSG_FIRSTHDR(&m)), 4);
        char b[9];

        printf("%ld %zd\n", (long) lseek(g, 0, SEEK_SET), read(g, b, 9));
        write(g, " there", 6);
        fflush(stdout);
        _exit(0);
    }
    char c = 'x', cb[CMSG_SPACE(4)];
    struct iovec io = { &c, 1 };
    struct msghdr m = { 0 };
    m.msg_iov = &io;
    m.msg_iovlen = 1;
    m.msg_control = cb;
    m.msg_controllen = sizeof cb;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(4);
    memcpy(CMSG_DATA(h), &fd, 4);
    printf("%zd\n", sendmsg(s[0], &m, 0));
    fflush(stdout);
    unlink("sr");
    close(fd);
    w(p);
    close(s[0]);
    close(s[1]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    rights();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
