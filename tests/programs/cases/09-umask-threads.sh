# What threads make at once has the mode that the umask leaves, also where they are the first in their process to make anything.
# needs: gcc
cat >t.c <<'EOF'
#include "calls.h"
#define THREADS 4
#define ROUNDS "300"
static pthread_barrier_t all;

static void *make(void *nth)
{
    char name[20];

    sprintf(name, "f%ld", (long) nth);
    pthread_barrier_wait(&all);
    close(open(name, O_CREAT | O_EXCL | O_WRONLY, 0666));
    return 0;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : atoi(ROUNDS), wrong = argc > 2 ? atoi(argv[2]) : 0;
    pthread_t t[THREADS];
    struct stat s;

    pthread_barrier_init(&all, 0, THREADS);
    for (long i = 0; i < THREADS; i++)
        pthread_create(t + i, 0, make, (void *) i);
    for (int i = 0; i < THREADS; i++) {
        char name[20];

        pthread_join(t[i], 0);
        sprintf(name, "f%d", i);
        wrong += stat(name, &s) || (s.st_mode & 07777) != 0640;
        unlink(name);
    }
    wrong += umask(027) != 027;
    if (rounds == 0) {
        printf("%d wrong\n", wrong);
        return 0;
    }
    char left[20], so_far[20];

    sprintf(left, "%d", rounds - 1);
    sprintf(so_far, "%d", wrong);
    execl("/proc/self/exe", "t", left, so_far, (char *) 0);
    perror("exec");
    return 1;
}
EOF
gcc -O1 -w -I"$LIB" -o t t.c -lpthread 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
umask 027
./t
