/* What the memory cases share: every step says one line, and a wrong byte names its place. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1 << 20)
#define BIG (8 * MIB)

#define NEED(call) do { if (!(call)) { printf("line %d: %s: %s\n", __LINE__, #call, strerror(errno)); exit(9); } } while (0)

/* The byte at `at` of the pattern number `seed`: no period that a page size divides. */
static unsigned char pattern(size_t at, unsigned seed) {
    uint64_t x = (at / 8 + 1) * 0x9E3779B97F4A7C15u + seed * 0xD1B54A32D192ED03u;
    x ^= x >> 29;
    return (unsigned char)(x >> (at % 8 * 8));
}

static void fill(void *to, size_t length, unsigned seed) {
    for (size_t i = 0; i < length; i++) ((unsigned char *)to)[i] = pattern(i, seed);
}

/* Says whether `length` bytes are those of pattern `seed` from `at` on. */
static void expect(const char *what, const void *have, size_t length, size_t at, unsigned seed) {
    const unsigned char *bytes = have;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != pattern(at + i, seed)) {
            printf("%s: WRONG at %zu: %02x instead of %02x\n", what, i, bytes[i], pattern(at + i, seed));
            fflush(stdout);
            return;
        }
    printf("%s: right\n", what);
    fflush(stdout);
}

static void expect_byte(const char *what, const void *have, size_t length, int byte) {
    const unsigned char *bytes = have;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != byte) {
            printf("%s: WRONG at %zu: %02x instead of %02x\n", what, i, bytes[i], byte);
            fflush(stdout);
            return;
        }
    printf("%s: right\n", what);
    fflush(stdout);
}

static void *pages(size_t length) {
    void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(p != MAP_FAILED);
    return p;
}

/* A buffer on a boundary of 2 MiB: as large reads like it best. */
static void *huge(size_t length) {
    void *p;
    NEED(posix_memalign(&p, 2 * MIB, length) == 0);
    return p;
}

static void make(const char *name, size_t length, unsigned seed) {
    unsigned char *bytes = malloc(length);
    NEED(bytes);
    fill(bytes, length, seed);
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    NEED(fd >= 0);
    for (size_t done = 0; done < length;) {
        ssize_t n = write(fd, bytes + done, length - done);
        NEED(n > 0);
        done += n;
    }
    NEED(close(fd) == 0);
    free(bytes);
}

static void read_whole(int fd, void *to, size_t length, off_t at) {
    for (size_t done = 0; done < length;) {
        ssize_t n = pread(fd, (char *)to + done, length - done, at + done);
        NEED(n > 0);
        done += n;
    }
}

static void write_whole(int fd, const void *from, size_t length, off_t at) {
    for (size_t done = 0; done < length;) {
        ssize_t n = pwrite(fd, (const char *)from + done, length - done, at + done);
        NEED(n > 0);
        done += n;
    }
}

/* Reads the file again through a buffer of its own and compares. */
static void expect_file(const char *what, const char *name, size_t length, size_t at, unsigned seed) {
    int fd = open(name, O_RDONLY);
    NEED(fd >= 0);
    unsigned char *bytes = malloc(length);
    NEED(bytes);
    read_whole(fd, bytes, length, at);
    expect(what, bytes, length, at, seed);
    free(bytes);
    close(fd);
}

/* Runs `command` in a process of its own, as another program would. */
static void other(const char *command) {
    fflush(stdout);
    NEED(system(command) == 0);
}
