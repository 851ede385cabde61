# A handler on an alternate stack of the least size, as the usual one of a crash reporter: it logs to a file, and calls more than fits there. And a shared mapping behind the end of its
# file, touched after it has grown, by a program that has such a stack for its own faults. Nothing of a handler's jump out of it stays.
# needs: gcc
cat >small.c <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif
static char stack[8192] __attribute__((aligned(16)));
static sigjmp_buf out;
static void log_it(int signal) {
    (void)signal;
    struct stat st;
    int fd = open("log", O_CREAT | O_RDWR | O_APPEND, 0644), copy = open("copy", O_CREAT | O_RDWR | O_TRUNC, 0644);
    if (write(fd, "signal\n", 7) != 7 || fsync(fd) || fstat(fd, &st) || copy_file_range(fd, &(off_t){0}, copy, NULL, st.st_size, 0) != st.st_size) _exit(3);
    if (mkdir("d", 0755) || rename("d", "e") || rmdir("e")) _exit(4);
    close(fd), close(copy);
}
static void jump(int signal) {
    log_it(signal);
    siglongjmp(out, 1);
}
int main(int count, char **args) {
    (void)args;
    if (count > 1) close(open("before", O_CREAT | O_RDWR, 0644));
    int flags = count > 2 ? SS_AUTODISARM : 0;
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = flags}, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = log_it, .sa_flags = SA_ONSTACK}, NULL);
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = jump, .sa_flags = SA_ONSTACK}, NULL);
    sigaction(SIGBUS, &(struct sigaction){.sa_handler = jump, .sa_flags = SA_ONSTACK}, NULL);
    for (int i = 0; i < 5; i++) raise(SIGUSR1);
    for (volatile int i = 0; i < 5 && !flags; i++)
        if (!sigsetjmp(out, 1)) raise(SIGUSR2);
    int fd = open("mapped", O_CREAT | O_RDWR, 0644);
    char *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!sigsetjmp(out, 1)) puts(memcpy(map, "too early", 10));
    if (ftruncate(fd, 1 << 20)) return 5;
    strcpy(map + 70000, "in time");
    char back[8] = "";
    pread(fd, back, 7, 70000);
    puts(back);
    stack_t now;
    sigaltstack(NULL, &now);
    // What a jump leaves behind is disarmed.
    if (!flags) printf("%d %zu %d\n", now.ss_sp == (void *)stack, now.ss_size, now.ss_flags);
    return 0;
}
END
gcc -O1 -o small small.c || exit
./small; echo $?; wc -l <log; cmp log copy && echo same
rm log; ./small twice; echo $?; wc -l <log
rm log; ./small with disarming; echo $?; wc -l <log

# Other signals in every moment of such a call: they leave the frames of its handler alone, and none is lost.
cat >many.c <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
enum { SENT = 3000 };
static char stack[65536] __attribute__((aligned(16)));
static volatile int came;
static void tick(int signal) {
    volatile char much[2000];
    for (unsigned i = 0; i < sizeof much; i++) much[i] = signal;
}
static void count(int signal) {
    tick(signal);
    came++;
}
static void work(int signal) {
    volatile unsigned long frame[200];
    for (int i = 0; i < 200; i++) frame[i] = signal * 1000UL + i;
    struct stat st;
    for (int i = 0; i < 20; i++)
        if (stat("file", &st)) _exit(3);
    for (int i = 0; i < 200; i++)
        if (frame[i] != signal * 1000UL + i) _exit(4);
}
int main(void) {
    close(open("file", O_CREAT | O_RDWR, 0644));
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART}, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = work, .sa_flags = SA_ONSTACK}, NULL);
    sigaction(SIGRTMIN, &(struct sigaction){.sa_handler = count, .sa_flags = SA_ONSTACK | SA_RESTART}, NULL);
    pid_t sender = fork();
    if (!sender) {
        for (int i = 0; i < SENT; i++)
            while (sigqueue(getppid(), SIGRTMIN, (union sigval){0})) sched_yield();
        _exit(0);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 50}, {0, 50}}, NULL);
    for (int i = 0; i < 1000; i++) raise(SIGUSR1);
    int status;
    while (waitpid(sender, &status, 0) < 0);
    for (int i = 0; i < 1000000 && came < SENT; i++) sched_yield();
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("%d came, %d\n", came, status);
    return 0;
}
END
gcc -O1 -o many many.c || exit
timeout 60 ./many; echo $?

# Threads with the smallest stack there is: the first one that uses files at all, others at once, and a child of one.
cat >least.c <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *path) {
    char byte;
    int fd = open(path, O_CREAT | O_RDWR, 0644), status;
    if (pwrite(fd, path, 2, 0) != 2 || fsync(fd) || pread(fd, &byte, 1, 1) != 1) return "failed";
    pid_t child = fork();
    if (child == 0) {
        struct stat st;
        _exit(stat(path, &st) || rename(path, path) ? 1 : 0);
    }
    if (waitpid(child, &status, 0) != child || status) return "child";
    for (int i = 0; i < 300; i++)
        if (chmod(path, 0600 + i % 2)) return "chmod";
    close(fd);
    return unlink(path) ? "unlink" : "done";
}
int main(void) {
    pthread_attr_t least;
    pthread_t threads[4];
    pthread_attr_init(&least);
    pthread_attr_setstacksize(&least, 16384);
    void *said;
    if (pthread_create(threads, &least, work, "a0")) return 1;
    pthread_join(threads[0], &said);
    puts(said);
    static char names[4][3] = {"b0", "b1", "b2", "b3"};
    for (int i = 0; i < 4; i++) pthread_create(threads + i, &least, work, names[i]);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], &said), puts(said);
    return 0;
}
END
gcc -O1 -o least least.c -lpthread || exit
./least; echo $?
