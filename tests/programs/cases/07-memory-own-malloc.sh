# A program with a malloc of its own, which no call may use while it is in there: it reads a link when it begins, as jemalloc does, it is locked when the program forks, and a signal
# may interrupt it whose handler uses files.
# needs: gcc
cat >t.c <<'X'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t owner;
static volatile int held, begun, interrupt, forks;
static char *at, *end;
static void say(const char *text) { (void)!write(1, text, strlen(text)); }
static void enter(void) {
    if (held && pthread_equal(owner, pthread_self())) {
        say("malloc is used while it is locked\n");
        _exit(99);
    }
    pthread_mutex_lock(&lock);
    owner = pthread_self();
    held = 1;
}
static void leave(void) {
    held = 0;
    pthread_mutex_unlock(&lock);
}
void *memalign(size_t align, size_t size) {
    enter();
    if (!begun) {
        char link[100];
        begun = 1;
        (void)!readlink("/etc/no-such-malloc.conf", link, sizeof link);
        struct stat st;
        (void)!stat("/etc/no-such-malloc.conf", &st);
        at = mmap(0, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        end = at + (1 << 30);
    }
    if (interrupt) {
        interrupt = 0;
        raise(SIGUSR1);
    }
    char *block = (char *)(((size_t)at + 16 + align - 1) / align * align);
    ((size_t *)block)[-1] = size;
    at = block + size;
    leave();
    if (at > end) abort();
    return block;
}
void *malloc(size_t size) { return memalign(16, size); }
void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }
int posix_memalign(void **to, size_t align, size_t size) { return (*to = memalign(align, size)) ? 0 : ENOMEM; }
void *calloc(size_t count, size_t size) { return malloc(count * size); }
void free(void *block) {
    if (block) { enter(); leave(); }
}
void *realloc(void *block, size_t size) {
    void *to = malloc(size);
    if (block) memcpy(to, block, ((size_t *)block)[-1] < size ? ((size_t *)block)[-1] : size);
    return to;
}
size_t malloc_usable_size(void *block) { return ((size_t *)block)[-1]; }
static void prepare(void) { enter(); }
static void parent(void) { leave(); }
static void child(void) { leave(); forks++; }
static void handler(int signal) {
    (void)signal;
    char text[32] = "";
    struct stat st;
    int fd = open("by-handler", O_CREAT | O_RDWR | O_TRUNC, 0644);
    if (fd < 0 || write(fd, "hello", 5) != 5 || pread(fd, text, 5, 0) != 5 || fstat(fd, &st) || fsync(fd)) say("a call failed in the handler\n");
    close(fd);
    if (rename("by-handler", "renamed") || stat("renamed", &st) || link("renamed", "linked") || unlink("linked") || access("linked", F_OK) != -1)
        say("a name failed in the handler\n");
    say(text);
    say("\n");
}
static void *thread(void *arg) {
    for (int i = 0; i < 2000; i++) {
        free(malloc(i));
        if (i % 20 == 0) {
            int fd = open((const char *)arg, O_CREAT | O_RDWR, 0644);
            if (write(fd, "x", 1) != 1) say("a write failed in a thread\n");
            close(fd);
            unlink((const char *)arg);
        }
    }
    return 0;
}
int main(void) {
    pthread_atfork(prepare, parent, child);
    signal(SIGUSR1, handler);
    for (int i = 0; i < 3; i++) {
        interrupt = 1;
        free(malloc(100));
    }
    FILE *f = fopen("stream", "w");
    fprintf(f, "a stream %d\n", begun);
    fclose(f);
    pthread_t threads[2];
    pthread_create(&threads[0], 0, thread, "one");
    pthread_create(&threads[1], 0, thread, "two");
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            interrupt = 1;
            free(malloc(10));
            int grandchild = fork();
            if (grandchild == 0) {
                int fd = open("of-grandchild", O_CREAT | O_WRONLY | O_APPEND, 0644);
                _exit(write(fd, "line\n", 5) != 5);
            }
            int status;
            waitpid(grandchild, &status, 0);
            _exit(status != 0 || forks != 1);
        }
        int status;
        waitpid(pid, &status, 0);
        if (status) say("a child failed\n");
    }
    pthread_join(threads[0], 0);
    pthread_join(threads[1], 0);
    say("done\n");
    return 0;
}
X
gcc -Wall -O1 -o t t.c -lpthread
./t
echo $?
cat stream
sort -u of-grandchild
ls
