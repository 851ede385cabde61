# Large transfers through every kind of buffer: stack, bss, shared, file-backed, vectors, read-only, unmapped, and in threads.
# needs: gcc
cat >t.c <<'END'
#include "memory.h"
#include <pthread.h>
static unsigned char bss[BIG] __attribute__((aligned(4096)));
static int fd;
static void stack(void) {
    unsigned char b[3 * MIB];
    read_whole(fd, b, sizeof b, 4096);
    expect("stack", b, sizeof b, 4096, 1);
}
static void *thread(void *arg) {
    size_t at = (size_t)arg * MIB;
    unsigned char *b = pages(2 * MIB);
    for (int i = 0; i < 50; i++) {
        read_whole(fd, b, 2 * MIB, at);
        if (b[i] != pattern(at + i, 1) || b[2 * MIB - 1] != pattern(at + 2 * MIB - 1, 1)) return "WRONG";
        b[i] ^= 1;
    }
    munmap(b, 2 * MIB);
    return "right";
}
static void *common(void *arg) {
    for (int i = 0; i < 50; i++) read_whole(fd, bss + (size_t)arg * 2 * MIB, 2 * MIB, (size_t)arg * 2 * MIB);
    return 0;
}
static void many(void) {
    enum { N = 3000 };
    unsigned char *b = pages(N * 2 * 4096l);
    for (long i = 0; i < N; i++) read_whole(fd, b + i * 2 * 4096, 4096, (i * 4096) % (BIG - 4096));
    int wrong = 0;
    for (long i = 0; i < N; i++) wrong += b[i * 8192 + 7] != pattern((i * 4096) % (BIG - 4096) + 7, 1) || b[i * 8192 + 4096] != 0;
    printf("many separate pages: %d wrong\n", wrong);
    for (long i = 0; i < N; i++) { read_whole(fd, b + i * 8192, 8192, 4096); }
    expect("again, together", b + 100 * 8192, 8192, 4096, 1);
    NEED(munmap(b, N * 2 * 4096l) == 0);
}
int main(void) {
    make("f", BIG, 1);
    fd = open("f", O_RDWR);
    stack();
    read_whole(fd, bss, BIG, 0);
    expect("bss", bss, BIG, 0, 1);
    unsigned char *s = mmap(0, BIG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    if (fork() == 0) { read_whole(fd, s, BIG, 0); _exit(0); }
    wait(0);
    expect("shared anonymous, read by the child", s, BIG, 0, 1);
    make("m", BIG, 2);
    int m = open("m", O_RDWR);
    unsigned char *sh = mmap(0, BIG, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
    read_whole(fd, sh, BIG, 0);
    expect_file("read into a shared map of another file", "m", BIG, 0, 1);
    unsigned char *pr = mmap(0, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE, m, 0);
    memset(sh, 0, MIB);
    read_whole(fd, pr, BIG, 0);
    expect("read into a private map", pr, BIG, 0, 1);
    read_whole(m, bss, MIB, 0);
    expect_byte("whose file is as it was", bss, MIB, 0);
    write_whole(m, sh, BIG, 0);
    write_whole(m, pr, BIG, 0);
    expect_file("written from its own private map", "m", BIG, 0, 1);
    struct iovec v[5] = {{bss, 100}, {s, 2 * MIB}, {pr + 5, 0}, {pr, 3 * MIB + 1}, {bss + 4096, 4096}};
    printf("preadv %zd\n", preadv(fd, v, 5, 0));
    expect("vector 0", bss, 100, 0, 1);
    expect("vector 1", s, 2 * MIB, 100, 1);
    expect("vector 3", pr, 3 * MIB + 1, 100 + 2 * MIB, 1);
    expect("vector 4", bss + 4096, 4096, 101 + 5 * MIB, 1);
    int g = open("g", O_RDWR | O_CREAT | O_TRUNC, 0644);
    printf("pwritev %zd\n", pwritev(g, v, 5, 10));
    read_whole(g, bss, 2 * MIB, 110);
    expect("written from vectors", bss, 2 * MIB, 100, 1);
    printf("size %ld\n", (long)lseek(g, 0, SEEK_END));
    unsigned char *ro = mmap(0, BIG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = 0;
    printf("read-only: %zd", pread(fd, ro, BIG, 0));
    printf(" %s\n", strerror(errno));
    unsigned char *none = mmap(0, BIG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = 0;
    printf("PROT_NONE read: %zd", pread(fd, none, BIG, 0));
    printf(" %s\n", strerror(errno));
    errno = 0;
    printf("PROT_NONE write: %zd", pwrite(g, none, BIG, 0));
    printf(" %s\n", strerror(errno));
    errno = 0;
    printf("null: %zd", pread(fd, NULL, 4096, 0));
    printf(" %s\n", strerror(errno));
    errno = 0;
    printf("kernel address: %zd", pread(fd, (void *)-4096l, 4096, 0));
    printf(" %s\n", strerror(errno));
    errno = 0;
    printf("length 0 at a bad address: %zd", pread(fd, NULL, 0, 0));
    printf(" %s\n", strerror(errno));
    unsigned char *two = pages(BIG);
    mmap(two + 3 * MIB, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    read_whole(fd, two, BIG, 0);
    expect("across mappings", two, BIG, 0, 1);
    read_whole(fd, two + 1, BIG - 4097, 4097);
    expect("congruent, not aligned", two + 1, BIG - 4097, 4097, 1);
    for (int shift = 1; shift < 4096; shift += 1365) {
        read_whole(fd, two + shift, BIG - 4096, 0);
        expect("shifted", two + shift, BIG - 4096, 0, 1);
    }
    pthread_t t[4];
    for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, thread, (void *)i);
    for (int i = 0; i < 4; i++) { void *r; pthread_join(t[i], &r); puts(r); }
    for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, common, (void *)i);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    expect("parts of one buffer in four threads", bss, BIG, 0, 1);
    many();
    int p[2];
    NEED(pipe(p) == 0);
    read_whole(fd, two, BIG, 0);
    printf("vmsplice %d\n", vmsplice(p[1], &(struct iovec){two, 4096}, 1, 0) == 4096);
    NEED(read(p[0], bss, 4096) == 4096);
    expect("through a pipe", bss, 4096, 0, 1);
    NEED(process_vm_readv(getpid(), &(struct iovec){bss, MIB}, 1, &(struct iovec){two + MIB, MIB}, 1, 0) == MIB);
    expect("process_vm_readv", bss, MIB, MIB, 1);
    char *line = NULL; size_t cap = 0;
    FILE *st = fopen("f", "rb");
    setvbuf(st, NULL, _IOFBF, 4 * MIB);
    printf("fread %zu\n", fread(two, 1, BIG + 5, st));
    expect("stdio with a large buffer", two, BIG, 0, 1);
    rewind(st);
    printf("getdelim %d\n", getdelim(&line, &cap, -1, st) > 0);
    fclose(st);
    printf("huge length %d\n", pread(fd, two, (size_t)BIG, BIG - 10) == 10);
    return 0;
}
END
gcc -O1 -pthread -I"$LIB" -o t t.c && ./t
echo $?
rm -f t f g m
