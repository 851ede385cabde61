# Threads that work on files while others fork; cancellation.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void *thr(void *a)
{
    for (int i = 0; i < 50; i++) {
        int fd = open("th", O_CREAT | O_WRONLY | O_APPEND, 0644);

        write(fd, "x", 1);
        close(fd);
    } return 0;
}

static void threads(void)
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        pthread_create(t + i, 0, thr, 0);
    for (int i = 0; i < 20; i++) {
        pid_t p = fork();

        if (!p) {
            int fd = open("th2", O_CREAT | O_WRONLY | O_APPEND, 0644);

            write(fd, "y", 1);
            close(fd);
            _exit(0);
        }
        waitpid(p, 0, 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], 0);
    struct stat s;

    stat("th", &s);
    printf("%ld ", (long) s.st_size);
    stat("th2", &s);
    printf("%ld\n", (long) s.st_size);
}

static void *th(void *a)
{
    char b[10];
    FILE *f = fopen("cn", "w");

    fputs("x", f);
    fflush(f);
    int p[2];

    pipe(p);
    FILE *g = fdopen(p[0], "r");

    fgets(b, 10, g);
    return 0;
}

/* Cancelled from the start, in what is no point where that happens. */
static void *calm(void *said)
{
    char *v[] = { "t", "-x", 0 };
    FILE *f = fopen("calm", "wc");

    pthread_cancel(pthread_self());
    fputs("said", f);
    fclose(f);
    getopt(2, v, "a");
    errno = ENOENT;
    perror("said");
    *(int *) said = 1;
    pthread_testcancel();
    return 0;
}

static void calmly(void)
{
    pthread_t t;
    void *r;
    int said = 0;

    freopen("calm-err", "w", stderr);
    pthread_create(&t, 0, calm, &said);
    pthread_join(t, &r);
    printf("%d %d\n", said, r == PTHREAD_CANCELED);
    show("calm");
    show("calm-err");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    threads(); {
        pthread_t t;

        pthread_create(&t, 0, th, 0);
        usleep(50000);
        pthread_cancel(t);
        void *r;

        pthread_join(t, &r);
        printf("%d\n", r == PTHREAD_CANCELED);
    }
    calmly();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c -lpthread 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
# Each time anew: the first use of FLAC is in threads, while others fork.
for i in 1 2 3 4 5 6 7 8; do
    rm -f th th2 cn
    ./t
done
