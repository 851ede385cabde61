// Random operations on files and on the memory that they are read into, compared with copies that FLAC never sees. Runs under the shim.
//
//   worker SEED OPERATIONS DIR      works in DIR on files of its own; exit status 0 if all was as expected
//   worker check FILE SUM           (after an exec) reads FILE and compares its checksum
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES = 6, BUFFERS = 5, PAGE = 4096, MOST = 1 << 20 };

struct file { char path[256]; int fd; size_t size; unsigned char *is; };
// `heap` buffers come from malloc, the others from mmap.
struct buffer { unsigned char *at, *is; size_t size; int heap; };

static struct file files[FILES];
static struct buffer buffers[BUFFERS];
static uint64_t state, done;
static const char *self;

static uint64_t below(uint64_t limit) {
    state += 0x9E3779B97F4A7C15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (z ^ (z >> 31)) % limit;
}

static void fail(const char *what) {
    fprintf(stderr, "worker %d, operation %lu: %s (%s)\n", getpid(), (unsigned long)done, what, strerror(errno));
    _exit(1);
}

static void check(int ok, const char *what) {
    if (!ok) fail(what);
}

// Whole pages now and then, else one byte in each: a page is right or wrong as a whole.
static void same(const unsigned char *is, const unsigned char *should, size_t n, const char *what) {
    if (below(16) == 0) {
        check(memcmp(is, should, n) == 0, what);
        return;
    }
    size_t skip = below(PAGE);
    for (size_t i = skip; i < n; i += PAGE) check(is[i] == should[i], what);
}

static void *shadow(size_t n) {
    void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(at != MAP_FAILED, "memory for a copy");
    return at;
}

static size_t length(void) {
    switch (below(4)) {
    case 0: return 1 + below(200);
    case 1: return PAGE * (1 + below(8));
    case 2: return PAGE * (16 + below(100)) + (below(2) ? 0 : below(PAGE));
    default: return 1 + below(MOST / 2);
    }
}

// A part of the buffer and a part of the file, mostly congruent so that pages can be attached and shared.
static size_t choose(struct buffer *b, size_t *in, size_t *at) {
    size_t n = length();
    if (n > b->size) n = b->size;
    *in = below(b->size - n + 1);
    *at = below(MOST - n + 1);
    if (below(4) != 0) {
        *in &= ~(size_t)(PAGE - 1);
        *at = (*at & ~(size_t)(PAGE - 1)) + ((size_t)(b->at + *in) & (PAGE - 1));
        if (*at + n > MOST) n = MOST - *at;
    }
    return n;
}

static void do_read(struct file *f, struct buffer *b) {
    size_t in, at, n = choose(b, &in, &at);
    ssize_t expected = at >= f->size ? 0 : f->size - at < n ? f->size - at : n;
    check(pread(f->fd, b->at + in, n, at) == expected, "pread");
    memcpy(b->is + in, f->is + at, expected);
    same(b->at + in, b->is + in, expected, "what was read");
}

static void put(struct file *f, const unsigned char *from, size_t n, size_t at) {
    memcpy(f->is + at, from, n);
    if (at + n > f->size) f->size = at + n;
}

static void do_write(struct file *f, struct buffer *b) {
    size_t in, at, n = choose(b, &in, &at);
    check(pwrite(f->fd, b->at + in, n, at) == (ssize_t)n, "pwrite");
    put(f, b->is + in, n, at);
}

static void change(struct buffer *b) {
    for (int times = below(3) ? 1 + below(4) : 200; times > 0; times--) {
        size_t i = below(b->size);
        b->at[i] = b->is[i] = (unsigned char)below(256);
    }
}

static void small_write(struct file *f) {
    unsigned char bytes[64];
    size_t n = 1 + below(64), at = below(f->size + 1);
    if (at + n > MOST) return;
    memset(bytes, (int)below(256), n);
    check(pwrite(f->fd, bytes, n, at) == (ssize_t)n, "a small pwrite");
    put(f, bytes, n, at);
}

static void part(struct buffer *b, size_t *from, size_t *n) {
    size_t pages = b->size / PAGE;
    *n = 1 + below(pages);
    *from = below(pages - *n + 1) * PAGE;
    *n *= PAGE;
}

static void unmap(struct buffer *b) {
    size_t from, n;
    part(b, &from, &n);
    int fixed = below(2);
    if (!fixed) check(munmap(b->at + from, n) == 0, "munmap");
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    check(mmap(b->at + from, n, PROT_READ | PROT_WRITE, flags, -1, 0) == b->at + from, "mmap");
    memset(b->is + from, 0, n);
    same(b->at + from, b->is + from, n, "fresh memory");
}

static void discard(struct buffer *b) {
    size_t from, n;
    part(b, &from, &n);
    check(madvise(b->at + from, n, MADV_DONTNEED) == 0, "madvise");
    memset(b->is + from, 0, n);
    same(b->at + from, b->is + from, n, "discarded memory");
}

static void resize(struct buffer *b) {
    size_t size = PAGE * (64 + below(MOST / PAGE - 64));
    unsigned char *at = b->heap ? realloc(b->at, size) : mremap(b->at, b->size, size, MREMAP_MAYMOVE);
    // The kernel moves no range that has become several mappings.
    if (!b->heap && at == MAP_FAILED && errno == EFAULT) return;
    check(at != NULL && at != MAP_FAILED, "mremap or realloc");
    if (b->heap && size > b->size) memset(at + b->size, 0, size - b->size);
    unsigned char *is = mremap(b->is, b->size, size, MREMAP_MAYMOVE);
    check(is != MAP_FAILED, "mremap of a copy");
    b->at = at, b->is = is, b->size = size;
    same(at, is, size, "moved memory");
}

static void renew(struct buffer *b) {
    if (b->at) {
        if (b->heap) free(b->at);
        else check(munmap(b->at, b->size) == 0, "munmap of all");
        munmap(b->is, b->size);
    }
    b->heap = below(3) == 0;
    b->size = PAGE * (64 + below(MOST / PAGE - 64));
    b->is = shadow(b->size);
    b->at = b->heap ? calloc(1, b->size) : shadow(b->size);
    check(b->at != NULL, "memory");
}

static void reopen(struct file *f) {
    if (f->fd >= 0) check(close(f->fd) == 0, "close");
    if (below(4) == 0) {
        check(unlink(f->path) == 0, "unlink");
        memset(f->is, 0, MOST);
        f->size = 0;
    }
    f->fd = open(f->path, O_RDWR | O_CREAT | (below(2) ? O_CLOEXEC : 0), 0600);
    check(f->fd >= 0, "open");
}

static void cut(struct file *f) {
    size_t size = below(2) ? below(MOST) : f->size / 2;
    check(ftruncate(f->fd, size) == 0, "ftruncate");
    if (size < f->size) memset(f->is + size, 0, f->size - size);
    f->size = size;
}

static void copy(struct file *from, struct file *to) {
    off_t in = below(2) ? 0 : below(MOST), out = below(2) ? in : (off_t)below(MOST);
    size_t n = length();
    if (from == to || in >= (off_t)from->size || out + n > MOST) return;
    ssize_t got = copy_file_range(from->fd, &in, to->fd, &out, n, 0);
    check(got > 0, "copy_file_range");
    put(to, from->is + in - got, got, out - got);
}

static void map(struct file *f) {
    if (f->size < PAGE) return;
    size_t pages = f->size / PAGE, from = below(pages), n = 1 + below(pages - from);
    int shared = below(2);
    unsigned char *at = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, f->fd, from * PAGE);
    check(at != MAP_FAILED, "mmap of a file");
    same(at, f->is + from * PAGE, n * PAGE, "a mapping");
    size_t i = below(n * PAGE);
    at[i] = (unsigned char)below(256);
    if (shared) f->is[from * PAGE + i] = at[i];
    // What is written from a mapping may be shared with it.
    if (!shared && below(2) && f->size + n * PAGE <= MOST) {
        struct file *to = &files[below(FILES)];
        if (to != f) {
            check(pwrite(to->fd, at, n * PAGE, from * PAGE) == (ssize_t)(n * PAGE), "pwrite of a mapping");
            put(to, at, n * PAGE, from * PAGE);
        }
    }
    // Now and then a part stays until the process ends. Not much of a shared mapping: its frames can't be evicted.
    static int kept;
    size_t keep = below(8) == 0 && (!shared || kept++ == 0) ? (shared ? 1 : n / 2) : 0;
    if (n > keep) check(munmap(at, (n - keep) * PAGE) == 0, "munmap of a mapping");
}

static uint64_t sum(const unsigned char *at, size_t n) {
    uint64_t s = n;
    for (size_t i = 0; i < n; i++) s = (s ^ at[i]) * 0x100000001B3;
    return s;
}

static void all(void) {
    for (int i = 0; i < BUFFERS; i++) check(memcmp(buffers[i].at, buffers[i].is, buffers[i].size) == 0, "a buffer");
    static unsigned char bytes[MOST + 1];
    for (int i = 0; i < FILES; i++) {
        check(pread(files[i].fd, bytes, sizeof bytes, 0) == (ssize_t)files[i].size, "the size of a file");
        check(memcmp(bytes, files[i].is, files[i].size) == 0, "a file");
    }
}

static void operation(void);

static void child(void) {
    int kind = below(4), count = below(8);
    struct file *f = &files[below(FILES)];
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid > 0) {
        int status;
        check(waitpid(pid, &status, 0) == pid, "waitpid");
        check(kind == 0 ? WIFSIGNALED(status) : status == 0, "a child");
        return;
    }
    for (int i = 0; i < BUFFERS; i++) same(buffers[i].at, buffers[i].is, buffers[i].size, "a buffer of the parent");
    // Its memory is its own, the files are not: it only reads those.
    for (; count > 0; count--) {
        struct buffer *b = &buffers[below(BUFFERS)];
        switch (below(4)) {
        case 0: change(b); break;
        case 1: if (!b->heap) unmap(b); break;
        case 2: if (!b->heap) resize(b); break;
        default: do_read(&files[below(FILES)], b);
        }
    }
    if (kind == 0) raise(SIGKILL);
    if (kind == 1) {
        char expected[32];
        snprintf(expected, sizeof expected, "%lu", (unsigned long)sum(f->is, f->size));
        execl(self, self, "check", f->path, expected, NULL);
        fail("exec");
    }
    if (kind == 2) exit(0);
    _exit(0);
}

static void *thread(void *seed) {
    size_t n = PAGE * 64;
    unsigned char *at = shadow(n);
    struct file *f = seed;
    for (int i = 0; i < 3; i++) {
        ssize_t got = pread(f->fd, at, n, 0);
        if (got < 0 || memcmp(at, f->is, got) != 0) return f;
        if (i == 1) at[0] ^= 1;
    }
    // Half of the time the views go with the memory, else with the process.
    if ((size_t)at & (1 << 12)) munmap(at, n);
    return NULL;
}

static void threads(void) {
    pthread_t ids[2];
    for (int i = 0; i < 2; i++) check(pthread_create(&ids[i], NULL, thread, &files[below(FILES)]) == 0, "a thread");
    for (int i = 0; i < 2; i++) {
        void *bad;
        check(pthread_join(ids[i], &bad) == 0 && bad == NULL, "what a thread read");
    }
}

static void operation(void) {
    struct file *f = &files[below(FILES)];
    struct buffer *b = &buffers[below(BUFFERS)];
    switch (below(400)) {
    case 0: return child();
    case 1: return threads();
    case 2: return all();
    case 3: check(fsync(f->fd) == 0, "fsync"); return;
    case 4 ... 8: return renew(b);
    case 9 ... 16: return reopen(f);
    case 17 ... 30: return cut(f);
    case 31 ... 45: return resize(b);
    case 46 ... 60: return map(f);
    case 61 ... 80: return copy(f, &files[below(FILES)]);
    case 81 ... 100: if (!b->heap) discard(b); return;
    case 101 ... 120: if (!b->heap) unmap(b); return;
    case 121 ... 150: return change(b);
    case 151 ... 190: return small_write(f);
    case 191 ... 290: return do_write(f, b);
    default: return do_read(f, b);
    }
}

int main(int argc, char **argv) {
    self = argv[0];
    check(argc == 4, "usage: worker SEED OPERATIONS DIR");
    if (strcmp(argv[1], "check") == 0) {
        int fd = open(argv[2], O_RDONLY);
        unsigned char *at = shadow(MOST);
        ssize_t n = read(fd, at, MOST);
        check(n >= 0 && sum(at, n) == strtoull(argv[3], NULL, 10), "what is read after an exec");
        return 0;
    }
    state = strtoull(argv[1], NULL, 10);
    uint64_t count = strtoull(argv[2], NULL, 10);
    for (int i = 0; i < FILES; i++) {
        struct file *f = &files[i];
        snprintf(f->path, sizeof f->path, "%s/%d.%d", argv[3], getpid(), i);
        f->is = shadow(MOST);
        f->fd = open(f->path, O_RDWR | O_CREAT, 0600);
        check(f->fd >= 0, "open");
    }
    for (int i = 0; i < BUFFERS; i++) renew(&buffers[i]);
    for (done = 0; done < count; done++) operation();
    all();
    return 0;
}
