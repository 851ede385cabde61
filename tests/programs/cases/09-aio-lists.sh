# Asynchronous requests in lists: what is refused, who is told of the end and how, what is cancelled, and what of it is a pipe's.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
#include <aio.h>
#include <pthread.h>
#include <signal.h>
#include <semaphore.h>
#define N 24
static char bytes[N][65536];
static struct aiocb c[N], *list[N];
static sem_t told;
static void *value_told;

/* What a call returned, and its errno. */
static void say(const char *what, int result)
{
    printf("%s: %d %s\n", what, result, result < 0 ? strerror(errno) : "");
}

static void in_thread(union sigval value)
{
    value_told = value.sival_ptr;
    sem_post(&told);
}

static void fill(int fd, int opcode)
{
    for (int i = 0; i < N; i++) {
        memset(&c[i], 0, sizeof c[i]);
        c[i].aio_fildes = fd;
        c[i].aio_buf = bytes[i];
        c[i].aio_nbytes = sizeof bytes[i];
        c[i].aio_offset = i * sizeof bytes[i];
        c[i].aio_lio_opcode = opcode;
        c[i].aio_sigevent.sigev_notify = SIGEV_NONE;
        list[i] = &c[i];
    }
}

static void refused(int fd)
{
    fill(fd, LIO_WRITE);
    c[0].aio_reqprio = -1;
    say("priority -1", aio_write(&c[0]));
    c[0].aio_reqprio = 21;
    say("priority 21", aio_read(&c[0]));
    c[0].aio_reqprio = 20;
    say("priority 20", aio_fsync(O_SYNC, &c[0]));
    const struct aiocb *one[] = { &c[0], NULL };
    printf("done: %d", aio_suspend(one, 2, NULL));
    printf(" %d %zd\n", aio_error(&c[0]), aio_return(&c[0]));
    say("mode", lio_listio(7, list, N, NULL));
    fill(fd, LIO_WRITE);
    c[2].aio_lio_opcode = -1;
    c[3].aio_lio_opcode = LIO_NOP;
    list[4] = NULL;
    say("opcode", lio_listio(LIO_WAIT, list, N, NULL));
    printf("its state: %s\n", strerror(aio_error(&c[2])));
    say("fsync", aio_fsync(7, &c[0]));
    int reads = open("data", O_RDONLY);
    c[0].aio_fildes = reads;
    aio_write(&c[0]);
    aio_suspend(one, 1, NULL);
    printf("write to read: %s %zd\n", strerror(aio_error(&c[0])), aio_return(&c[0]));
    say("other descriptor", aio_cancel(fd, &c[0]));
    printf("all done: %d\n", aio_cancel(reads, &c[0]) == AIO_ALLDONE);
    close(reads);
}

static void signals(int fd)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < N; i++)
        memset(bytes[i], 'a' + i, sizeof bytes[i]);
    fill(fd, LIO_WRITE);
    struct sigevent all = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_ptr = &all };
    printf("list: %d\n", lio_listio(LIO_NOWAIT, list, N, &all));
    siginfo_t info;
    int signal = sigwaitinfo(&set, &info), wrong = 0;
    printf("told: %d %d %d\n", signal == SIGUSR1, info.si_code == SI_ASYNCIO, info.si_value.sival_ptr == &all);
    for (int i = 0; i < N; i++)
        wrong += aio_error(&c[i]) != 0 || aio_return(&c[i]) != sizeof bytes[i];
    printf("wrong: %d\n", wrong);
    char back[2];
    for (int i = 0; i < N; i++)
        wrong += pread(fd, back, 1, c[i].aio_offset + 77) != 1 || back[0] != 'a' + i;
    printf("wrong in the file: %d\n", wrong);
}

static void threads(int fd)
{
    fill(fd, LIO_READ);
    memset(bytes, 0, sizeof bytes);
    struct sigevent all = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread, .sigev_value.sival_ptr = list };
    sem_init(&told, 0, 0);
    printf("list: %d\n", lio_listio(LIO_NOWAIT, list, N, &all));
    sem_wait(&told);
    int wrong = value_told != list;
    for (int i = 0; i < N; i++)
        wrong += aio_error(&c[i]) != 0 || bytes[i][0] != 'a' + i || bytes[i][65535] != 'a' + i;
    printf("wrong: %d\n", wrong);
}

static void cancelled(int fd)
{
    fill(fd, LIO_WRITE);
    int result = lio_listio(LIO_NOWAIT, list, N, NULL), how = aio_cancel(fd, NULL);
    int wrong = how != AIO_CANCELED && how != AIO_NOTCANCELED && how != AIO_ALLDONE, done = 0, gone = 0;
    for (int i = 0; i < N; i++) {
        const struct aiocb *one[] = { &c[i] };
        while (aio_error(&c[i]) == EINPROGRESS)
            aio_suspend(one, 1, NULL);
        int error = aio_error(&c[i]);
        ssize_t n = aio_return(&c[i]);
        done += error == 0 && n == sizeof bytes[i];
        gone += error == ECANCELED && n == -1;
    }
    printf("cancelled: %d, wrong %d, all accounted for %d\n", result, wrong, done + gone == N);
}

static void mixed(int fd)
{
    int pipes[2];
    pipe(pipes);
    fill(fd, LIO_READ);
    c[1].aio_fildes = pipes[0];
    struct timespec soon = { 0, 20000000 };
    const struct aiocb *one[] = { &c[1] };
    say("pipe", aio_read(&c[1]));
    say("not yet", aio_suspend(one, 1, &soon));
    const struct aiocb *both[] = { &c[1], &c[0] };
    say("file", aio_read(&c[0]));
    say("one of two", aio_suspend(both, 2, NULL));
    write(pipes[1], "hello", 5);
    say("pipe", aio_suspend(one, 1, NULL));
    printf("%d %zd\n", aio_error(&c[1]), aio_return(&c[1]));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = open("data", O_CREAT | O_RDWR | O_TRUNC, 0644);
    refused(fd);
    signals(fd);
    threads(fd);
    cancelled(fd);
    mixed(fd);
    struct aiocb end = { .aio_fildes = fd };
    const struct aiocb *one[] = { &end };
    printf("last: %d", aio_fsync(O_DSYNC, &end));
    printf(" %d", aio_suspend(one, 1, NULL));
    printf(" %d\n", aio_error(&end));
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c -lpthread 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
