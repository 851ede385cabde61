# Blocks of 32 MiB and more: every way to get, grow, shrink and free one, read into and written from, over fork and in threads.
# needs: gcc
cat >t.c <<'END'
#include "memory.h"
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#define LARGE (33 * MIB + 4096 + 5)
static int fd;
/* As expect, of every 509th byte and the last. */
static void check(const char *what, const unsigned char *b, size_t n, size_t at, unsigned seed) {
    size_t wrong = b[n - 1] != pattern(at + n - 1, seed);
    for (size_t i = 0; i < n; i += 509) wrong += b[i] != pattern(at + i, seed);
    printf("%s: %zu wrong\n", what, wrong);
    fflush(stdout);
}
static void use(const char *what, unsigned char *b, size_t n, size_t align) {
    NEED(b != 0);
    int zero = b[0] == 0 && b[n / 2] == 0 && b[n - 1] == 0;
    read_whole(fd, b, n, 0);
    check(what, b, n, 0, 1);
    NEED(malloc_usable_size(b) >= n);
    printf("%s: aligned %d, zero before %d\n", what, (uintptr_t)b % align == 0, zero);
}
static void *thread(void *arg) {
    const char *verdict = "right";
    for (int i = 0; i < 2; i++) {
        unsigned char *b = malloc(LARGE + i * MIB), *c = calloc(1, LARGE);
        read_whole(fd, b, LARGE, 0);
        if (b[LARGE - 1] != pattern(LARGE - 1, 1) || b[i * 77] != pattern(i * 77, 1) || c[LARGE - 1] || c[i]) verdict = "WRONG";
        b = realloc(b, 2 * LARGE);
        if (b[LARGE - 1] != pattern(LARGE - 1, 1)) verdict = "WRONG";
        free(c);
        free(b);
    }
    return (void *)verdict;
}
int main(void) {
    make("f", LARGE, 1);
    fd = open("f", O_RDWR);
    unsigned char *b = malloc(LARGE);
    use("malloc", b, LARGE, 16);
    b[5] ^= 1;
    read_whole(fd, b + 32, LARGE - 32, 0);
    check("behind a head", b + 32, LARGE - 32, 0, 1);
    read_whole(fd, b + 7, LARGE - 8192, 4095);
    check("at an odd place", b + 7, LARGE - 8192, 4095, 1);
    use("malloc again", b, LARGE, 16);
    b = realloc(b, 3 * (size_t)LARGE);
    check("grown", b, LARGE, 0, 1);
    memset(b + LARGE, 9, 2 * (size_t)LARGE);
    b = realloc(b, 100);
    check("shrunk", b, 100, 0, 1);
    b = realloc(b, 2 * (size_t)LARGE);
    check("grown again", b, 100, 0, 1);
    free(b);
    use("calloc", b = calloc(LARGE / 5 + 1, 5), LARGE, 16);
    fflush(stdout);
    if (fork() == 0) {
        check("in the child", b, LARGE, 0, 1);
        memset(b, 3, LARGE);
        free(b);
        b = calloc(1, LARGE);
        printf("the child's own: %d\n", b[0] + b[LARGE - 1]);
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    check("after the child changed its own", b, LARGE, 0, 1);
    free(b);
    use("aligned_alloc", b = aligned_alloc(4096, LARGE / 4096 * 4096), LARGE / 4096 * 4096, 4096);
    free(b);
    use("memalign", b = memalign(8 * MIB, LARGE), LARGE, 8 * MIB);
    free(b);
    use("valloc", b = valloc(LARGE), LARGE, 4096);
    free(b);
    void *p = (void *)1;
    printf("posix_memalign: %d %d ", posix_memalign(&p, 3, LARGE) == EINVAL, p == (void *)1);
    printf("%d\n", posix_memalign(&p, 64, LARGE));
    use("posix_memalign", p, LARGE, 64);
    int out = open("out", O_RDWR | O_CREAT, 0600);
    NEED(write(out, p, LARGE) == LARGE);
    memset(p, 0, LARGE);
    free(p);
    b = realloc(0, LARGE);
    read_whole(out, b, LARGE, 0);
    check("written from a block that was freed", b, LARGE, 0, 1);
    NEED(ftruncate(out, 0) == 0 && ftruncate(fd, 100) == 0);
    check("when the file is gone", b, LARGE, 0, 1);
    unsigned char *q = reallocarray(b, 2 * LARGE / 64, 64);
    check("reallocarray", q, LARGE, 0, 1);
    printf("too much: %d %d %d\n", reallocarray(q, SIZE_MAX / 2, 4) == 0, malloc(SIZE_MAX / 2 - 5) == 0, calloc(SIZE_MAX / 2, 3) == 0);
    check("still there", q, LARGE, 0, 1);
    free(q);
    make("f", LARGE, 1);
    errno = 77;
    enum { N = 100 };
    static unsigned char *many[N];
    for (int i = 0; i < N; i++) {
        NEED((many[i] = malloc(LARGE)) != 0);
        many[i][0] = many[i][LARGE - 1] = i;
    }
    int wrong = 0;
    for (int i = 0; i < N; i++) wrong += many[i][0] != i || many[i][LARGE - 1] != i;
    for (int i = 0; i < N; i++) free(many[i * 37 % N]);
    printf("a hundred at once: %d wrong, errno stays %d\n", wrong, errno == 77);
    pthread_t t[4];
    void *r[4];
    for (long i = 0; i < 4; i++) pthread_create(t + i, 0, thread, 0);
    for (long i = 0; i < 4; i++) pthread_join(t[i], r + i);
    printf("threads: %s %s %s %s\n", (char *)r[0], (char *)r[1], (char *)r[2], (char *)r[3]);
    FILE *m = fopen("/proc/self/status", "r");
    char line[200];
    long resident = -1;
    while (fgets(line, sizeof line, m)) sscanf(line, "RssAnon: %ld", &resident);
    printf("memory was given back: %d\n", resident >= 0 && resident < 30000);
    return 0;
}
END
gcc -O1 -fno-builtin -o t t.c -I"$LIB" -lpthread && ./t
FLAC_MALLOC=off ./t | tail -2
python3 - <<'END'
import os, sys
sys.path.insert(0, os.environ["LIB"])
from say import data
piece = data(1 << 20)
with open("g", "wb") as f:
    for i in range(40):
        f.write(bytes([i]) + piece[1:])
def whole():
    with open("g", "rb") as f:
        return f.read()
a = whole()
b = whole()
with open("g", "r+b") as f:
    f.write(bytes(1 << 20))
print(len(a), a == b, a[0], a[5 << 20], a[-1] == piece[-1], whole()[:3])
c = bytearray(b)
for i in range(8):
    c += b
print(len(c), c[:len(b)] == a, c[-len(b):] == a)
del a, b, c
if os.fork() == 0:
    print(len(whole()), flush=True)
    os._exit(0)
os.wait()
END
