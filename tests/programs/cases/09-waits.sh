# What a handler does where a call waits stays with the handler: it opens another FIFO in the midst of an open, or jumps out of the wait for a lock, which then nobody waits for.
# needs: gcc
cat >fifos.c <<'END'
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
static volatile int came;
static void other(int signal) {
    (void)signal;
    close(open("q", O_RDONLY));
    came++;
}
int main(void) {
    struct stat p, st;
    mkfifo("p", 0600), mkfifo("q", 0600);
    // The other end of both is there: no open waits for long.
    int held = open("p", O_RDWR), wrong = 0;
    if (open("q", O_RDWR) < 0 || fstat(held, &p)) return 1;
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = other, .sa_flags = SA_RESTART}, NULL);
    for (int i = 0; i < 20000; i++) {
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 1 + i % 60}}, NULL);
        int fd = open("p", O_RDONLY);
        wrong += fd < 0 || fstat(fd, &st) || st.st_ino != p.st_ino;
        close(fd);
    }
    printf("%d wrong, %s\n", wrong, came > 1000 ? "many signals" : "few signals");
    return 0;
}
END
gcc -O1 -o fifos fifos.c || exit
timeout 60 ./fifos; echo $?

cat >jump.c <<'END'
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>
static sigjmp_buf out;
static void jump(int signal) {
    (void)signal;
    siglongjmp(out, 1);
}
static int lock(int fd, int command, int type, int at) {
    return fcntl(fd, command, &(struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1});
}
int main(void) {
    int fd = open("locked", O_RDWR | O_CREAT, 0600), has[2], go[2];
    char byte = 0;
    if (lock(fd, F_SETLK, F_WRLCK, 1) || pipe(has) || pipe(go)) return 1;
    pid_t child = fork();
    if (child == 0) {
        if (lock(fd, F_SETLK, F_WRLCK, 0) || write(has[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(2);
        puts(lock(fd, F_SETLKW, F_WRLCK, 1) ? strerror(errno) : "had it in the end");
        fflush(stdout);
        _exit(0);
    }
    if (read(has[0], &byte, 1) != 1) return 3;
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = jump, .sa_flags = SA_RESTART}, NULL);
    if (!sigsetjmp(out, 1)) {
        alarm(1);
        lock(fd, F_SETLKW, F_WRLCK, 0);
        puts("it came back");
    }
    if (write(go[1], &byte, 1) != 1) return 4;
    usleep(200000);
    lock(fd, F_SETLK, F_UNLCK, 1);
    waitpid(child, NULL, 0);
    return 0;
}
END
gcc -O1 -o jump jump.c || exit
timeout 20 ./jump; echo $?
