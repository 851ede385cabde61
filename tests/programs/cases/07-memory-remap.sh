# Buffers read into may be realloc'ed, mremap'ed, unmapped, advised, protected and freed like any memory.
# needs: gcc
cat >t.c <<'END'
#include "memory.h"
int main(void) {
    make("f", BIG, 1);
    int fd = open("f", O_RDONLY);
    char *b = malloc(BIG);
    read_whole(fd, b, BIG, 0);
    b = realloc(b, 3 * BIG);
    expect("realloc larger", b, BIG, 0, 1);
    read_whole(fd, b + BIG, BIG, 0);
    expect("behind it", b + BIG, BIG, 0, 1);
    b = realloc(b, MIB);
    expect("realloc smaller", b, MIB, 0, 1);
    free(b);
    b = calloc(1, BIG);
    expect_byte("calloc after free", b, BIG, 0);
    read_whole(fd, b, BIG, 0);
    free(b);
    for (int i = 0; i < 30; i++) {
        b = calloc(1, BIG);
        if (b[i * 100000] || b[BIG - 1]) puts("calloc is not zero");
        read_whole(fd, b, BIG, 0);
        free(b);
    }
    b = pages(BIG);
    read_whole(fd, b, BIG, 0);
    b = mremap(b, BIG, 2 * BIG, MREMAP_MAYMOVE);
    NEED(b != MAP_FAILED);
    expect("mremap larger", b, BIG, 0, 1);
    expect_byte("what is new", b + BIG, BIG, 0);
    char *to = pages(2 * BIG);
    b = mremap(b, 2 * BIG, 2 * BIG, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    NEED(b == to);
    expect("mremap to a place", b, BIG, 0, 1);
    b = mremap(b, 2 * BIG, MIB, 0);
    expect("mremap smaller", b, MIB, 0, 1);
    munmap(b, MIB);
    b = pages(BIG);
    read_whole(fd, b, BIG, 0);
    NEED(munmap(b + 2 * MIB, 4096) == 0);
    expect("before a hole", b, 2 * MIB, 0, 1);
    expect("behind a hole", b + 2 * MIB + 4096, 6 * MIB - 4096, 2 * MIB + 4096, 1);
    errno = 0;
    ssize_t n = pread(fd, b + MIB, 4 * MIB, 0);
    printf("read across a hole: %s\n", n == -1 && errno == EFAULT ? "EFAULT" : n > 0 && n <= MIB ? "short" : "WRONG");
    NEED(mmap(b + 2 * MIB, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == b + 2 * MIB);
    expect_byte("a new page in it", b + 2 * MIB, 4096, 0);
    read_whole(fd, b, BIG, 0);
    NEED(madvise(b + MIB, MIB, MADV_DONTNEED) == 0);
    expect("before DONTNEED", b, MIB, 0, 1);
    expect_byte("DONTNEED gives zeros", b + MIB, MIB, 0);
    expect("behind DONTNEED", b + 2 * MIB, 6 * MIB, 2 * MIB, 1);
    NEED(madvise(b, BIG, MADV_DONTNEED) == 0);
    expect_byte("all of it", b, BIG, 0);
    b[5] = 7;
    read_whole(fd, b, BIG, 0);
    madvise(b, BIG, MADV_WILLNEED);
    madvise(b, BIG, MADV_SEQUENTIAL);
    madvise(b, BIG, MADV_HUGEPAGE);
    madvise(b, BIG, MADV_NOHUGEPAGE);
    expect("other advice", b, BIG, 0, 1);
    NEED(mprotect(b, BIG, PROT_READ) == 0);
    expect("mprotect", b, BIG, 0, 1);
    errno = 0;
    n = pread(fd, b, BIG, 100);
    printf("read into protected: %zd %s\n", n, strerror(errno));
    expect("nothing changed", b, BIG, 0, 1);
    NEED(mprotect(b, BIG, PROT_READ | PROT_WRITE) == 0);
    b[0] ^= 1;
    expect("writable again", b + 1, BIG - 1, 1, 1);
    expect_file("the file", "f", BIG, 0, 1);
    NEED(mlock(b, 16 * 4096) == 0 || errno == ENOMEM || errno == EPERM);
    read_whole(fd, b, BIG, 0);
    expect("locked", b, BIG, 0, 1);
    munlock(b, 16 * 4096);
    NEED(munmap(b, BIG) == 0);
    b = mmap(b, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    expect_byte("mapped anew", b, BIG, 0);
    int wfd = open("g", O_RDWR | O_CREAT, 0644);
    write_whole(wfd, b, BIG, 0);
    char *c = pages(BIG);
    memset(c, 1, BIG);
    read_whole(wfd, c, BIG, 0);
    expect_byte("zeros written from pages where a read had been", c, BIG, 0);
    read_whole(fd, b, BIG, 0);
    free(malloc(100));
    close(fd);
    unlink("f");
    expect("closed and unlinked", b, BIG, 0, 1);
    write_whole(wfd, b, BIG, 0);
    expect_file("written after that", "g", BIG, 0, 1);
    return 0;
}
END
gcc -O1 -I"$LIB" -o t t.c && ./t
echo $?
rm -f t f g
