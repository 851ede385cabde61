# POSIX asynchronous I/O.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
#include <aio.h>
static void aios(void)
{
    int fd = open("ai", O_CREAT | O_RDWR | O_TRUNC, 0644);
    char b[10] = "asyncdata";
    struct aiocb c = { 0 };
    c.aio_fildes = fd;
    c.aio_buf = b;
    c.aio_nbytes = 9;
    printf("%d\n", aio_write(&c));
    const struct aiocb *l[] = { &c };
    aio_suspend(l, 1, 0);
    printf("%d %zd\n", aio_error(&c), aio_return(&c));
    char d[10] = { 0 };
    struct aiocb r = { 0 };
    r.aio_fildes = fd;
    r.aio_buf = d;
    r.aio_nbytes = 5;
    r.aio_offset = 2;
    r.aio_lio_opcode = LIO_READ;
    struct aiocb *li[] = { &r };
    printf("%d\n", lio_listio(LIO_WAIT, li, 1, 0));
    printf("%d %zd %s\n", aio_error(&r), aio_return(&r), d);
    struct aiocb f = { 0 };
    f.aio_fildes = fd;
    printf("%d\n", aio_fsync(O_SYNC, &f));
    l[0] = &f;
    aio_suspend(l, 1, 0);
    printf("%d %d\n", aio_error(&f), aio_cancel(fd, 0));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    aios();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
