/* Random operations by several processes on one file, each checked against a model.
 *
 * usage: shared FILE SEED OPERATIONS PROCESSES together|apart
 *
 * together: the model is in memory that the processes share; whoever holds the lock of the file does one operation and changes the model, or
 *           compares what it reads with it. Mappings, descriptors and offsets stay from one operation to the next, so what one process
 *           does must show in what another mapped long before.
 * apart:    each process has a part of the file for itself (parts meet inside pages) and works there without any lock, all at once.
 *
 * Prints the seed, the process and its last operations when something differs; exit status 1 then. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 1 << 20, LONGEST = 160 << 10, KEPT = 24 };

struct model {
    size_t size;
    unsigned char bytes[MOST];
};

static struct model *model;
static const char *path;
static unsigned long seed;
static int me, together, fd, other;
static size_t low, high; /* the part of the file that is this process's */
static unsigned char *map; /* of MOST bytes, shared; NULL: none */
static uint64_t state;
static char history[KEPT][80];
static unsigned long steps;
static unsigned char *buffers[2]; /* page-aligned: large reads into them may be attached */

static uint64_t next(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}
static size_t below(size_t n) { return n ? next() % n : 0; }

static void note(const char *what, size_t from, size_t len) {
    snprintf(history[steps % KEPT], sizeof *history, "%lu %s %zx+%zx (size %zx)", steps, what, from, len, model->size);
}

static void fail(const char *format, ...) {
    va_list list;
    char text[6000];
    int n = snprintf(text, sizeof text, "FLAC_SEED=%lu process %d: ", seed, me);
    va_start(list, format);
    n += vsnprintf(text + n, 400, format, list);
    va_end(list);
    for (unsigned long i = steps >= KEPT ? steps - KEPT + 1 : 0; i <= steps; i++) n += snprintf(text + n, sizeof text - n, "\n  %s", history[i % KEPT]);
    text[n] = '\n';
    if (write(2, text, n + 1) < 0) {}
    _exit(1);
}

static void check(const unsigned char *seen, size_t from, size_t len, const char *how) {
    if (memcmp(seen, model->bytes + from, len) == 0) return;
    size_t i = 0;
    while (seen[i] == model->bytes[from + i]) i++;
    fail("%s at %zx: %02x instead of %02x", how, from + i, seen[i], model->bytes[from + i]);
}

static void all(ssize_t got, size_t want, const char *what) {
    if (got < 0) fail("%s: %s", what, strerror(errno));
    if ((size_t)got != want) fail("%s: %zd instead of %zu", what, got, want);
}

/* Bytes that depend on who wrote them and when. */
static void fill(unsigned char *to, size_t len) {
    unsigned char a = next(), b = next() | 1;
    for (size_t i = 0; i < len; i++) to[i] = a + (i * b >> 3);
}

static void grown(size_t to) {
    if (to > model->size) model->size = to; /* what lies between is zero: see shrink */
}

static void do_read(size_t from, size_t len) {
    unsigned char *to = buffers[next() & 1] + (next() & 3 ? from & 4095 : below(4096));
    note("read", from, len);
    if (next() & 1) {
        all(pread(fd, to, len, from), len, "pread");
    } else {
        if (lseek(fd, from, SEEK_SET) < 0) fail("lseek");
        struct iovec parts[2] = {{to, len / 2}, {to + len / 2, len - len / 2}};
        all(readv(fd, parts, 2), len, "readv");
    }
    check(to, from, len, "read");
}

static void do_write(size_t from, size_t len) {
    unsigned char *bytes = buffers[next() & 1] + (next() & 3 ? from & 4095 : below(4096));
    note("write", from, len);
    /* Half of the time what was read before is written, so that pages are shared. */
    if (next() & 1) fill(bytes, len);
    all(pwrite(fd, bytes, len, from), len, "pwrite");
    memcpy(model->bytes + from, bytes, len);
    grown(from + len);
}

static void do_append(size_t len) {
    int end = open(path, O_WRONLY | O_APPEND);
    note("append", model->size, len);
    fill(buffers[0], len);
    all(write(end, buffers[0], len), len, "append");
    close(end);
    memcpy(model->bytes + model->size, buffers[0], len);
    model->size += len;
}

static void need_map(void) {
    if (map) return;
    map = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) fail("mmap: %s", strerror(errno));
}

static void do_map_read(size_t from, size_t len) {
    note("map read", from, len);
    need_map();
    check(map + from, from, len, "mapping");
}

static void do_map_write(size_t from, size_t len) {
    note("map write", from, len);
    need_map();
    fill(map + from, len);
    memcpy(model->bytes + from, map + from, len);
    if ((next() & 7) == 0 && msync(map, MOST, MS_ASYNC)) fail("msync: %s", strerror(errno));
}

static void do_private(size_t from, size_t len) {
    size_t start = from & ~(size_t)4095;
    note("private mapping", from, len);
    unsigned char *p = mmap(NULL, from - start + len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, start);
    if (p == MAP_FAILED) fail("mmap: %s", strerror(errno));
    check(p + (from - start), from, len, "private mapping");
    memset(p + (from - start), 0xee, len); /* nobody else's business */
    munmap(p, from - start + len);
}

static void do_truncate(size_t size) {
    note("truncate", size, 0);
    if (next() & 1 ? ftruncate(fd, size) : truncate(path, size)) fail("truncate: %s", strerror(errno));
    if (size < model->size) memset(model->bytes + size, 0, model->size - size);
    model->size = size;
}

static void do_punch(size_t from, size_t len) {
    int zero = next() & 1;
    note(zero ? "zero range" : "punch", from, len);
    if (fallocate(fd, (zero ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE) | FALLOC_FL_KEEP_SIZE, from, len)) {
        if (errno == EOPNOTSUPP) return;
        fail("fallocate: %s", strerror(errno));
    }
    memset(model->bytes + from, 0, len);
}

static void do_copy(size_t from, size_t len) {
    size_t to = low + below(high - low - len);
    if (to < from + len && from < to + len) return;
    note("copy", from, len);
    note(" to", to, len);
    loff_t a = from, b = to;
    ssize_t n = copy_file_range(fd, &a, fd, &b, len, 0);
    all(n, len, "copy_file_range");
    memcpy(model->bytes + to, model->bytes + from, len);
    grown(to + len);
}

static void do_other_file(size_t from, size_t len) {
    note("out and in", from, len);
    loff_t a = from, b = from;
    if (ftruncate(other, 0)) fail("ftruncate: %s", strerror(errno));
    all(copy_file_range(fd, &a, other, &b, len, 0), len, "copy_file_range to another file");
    unsigned char *to = buffers[0] + (from & 4095);
    all(pread(other, to, len, from), len, "pread of the other file");
    check(to, from, len, "copy");
}

static void do_reopen(void) {
    note("reopen", 0, 0);
    if (map && next() & 1) munmap(map, MOST), map = NULL;
    close(fd);
    fd = open(path, O_RDWR);
    if (fd < 0) fail("open: %s", strerror(errno));
}

static void step(void) {
    size_t end = together ? model->size : high;
    size_t from = low + below(end - low), len = 1 + below(end - from < LONGEST ? end - from : LONGEST);
    if (from >= end) len = 0;
    size_t to = low + below(high - low), more = below(high - to < LONGEST ? high - to : LONGEST);
    switch (next() % (together ? 32 : 26)) {
    case 0 ... 6: if (len) do_read(from, len); break;
    case 7 ... 12: if (more) do_write(to, more); break;
    case 13 ... 16: if (len) do_map_read(from, len); break;
    case 17 ... 19: if (len) do_map_write(from, len); break;
    case 20: if (len) do_private(from, len); break;
    case 21: if (len) do_punch(from, len); break;
    case 22: if (len && len < high - low) do_copy(from, len); break;
    case 23: if (len) do_other_file(from, len); break;
    case 24: do_reopen(); break;
    case 25: if ((next() & 31) == 0 && fsync(fd)) fail("fsync: %s", strerror(errno)); break;
    case 26 ... 28: do_truncate(low + below(high - low)); break;
    default: if (model->size < high) { len = below(high - model->size < LONGEST ? high - model->size : LONGEST); if (len) do_append(len); }
    }
}

static void whole(void) {
    struct stat s;
    note("whole", 0, model->size);
    if (fstat(fd, &s)) fail("fstat");
    if (together && (size_t)s.st_size != model->size) fail("size %zx instead of %zx", (size_t)s.st_size, model->size);
    size_t end = together ? model->size : high;
    unsigned char *all_bytes = malloc(MOST);
    all(pread(fd, all_bytes, end - low, low), end - low, "pread of all");
    check(all_bytes, low, end - low, "at the end");
    free(all_bytes);
}

static int run(unsigned long operations, int processes) {
    state = (seed + 1) * 0x9e3779b97f4a7c15u + (uint64_t)me * 0x2545f4914f6cdd1du;
    for (int i = 0; i < 2; i++) {
        void *p;
        if (posix_memalign(&p, 1 << 21, LONGEST + 8192)) return 1;
        buffers[i] = memset(p, i, LONGEST + 8192);
    }
    low = together ? 0 : MOST / processes / 16 * 16 * me + (me ? 123 : 0);
    high = together || me == processes - 1 ? MOST : MOST / processes / 16 * 16 * (me + 1) + 123;
    fd = open(path, O_RDWR);
    char name[4096];
    snprintf(name, sizeof name, "%s.%d", path, me);
    other = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || other < 0) fail("open: %s", strerror(errno));
    for (steps = 0; steps < operations; steps++) {
        int lock = -1;
        if (together) {
            struct flock range = {.l_type = F_WRLCK};
            /* A POSIX lock goes with any close of its file: this one has a file of its own. */
            snprintf(name, sizeof name, "%s.lock", path);
            lock = open(name, O_RDWR | O_CREAT, 0600);
            int how = seed % 3; /* each kind of lock has its seeds */
            if (how == 0 ? flock(lock, LOCK_EX) : fcntl(lock, how == 1 ? F_SETLKW : F_OFD_SETLKW, &range)) fail("lock: %s", strerror(errno));
        }
        step();
        if (lock >= 0) close(lock);
    }
    if (!together) whole();
    return 0;
}

int main(int count, char **arguments) {
    if (count != 6) return 2;
    path = arguments[1];
    seed = strtoul(arguments[2], NULL, 0);
    unsigned long operations = strtoul(arguments[3], NULL, 0);
    int processes = atoi(arguments[4]);
    together = strcmp(arguments[5], "together") == 0;
    model = mmap(NULL, sizeof *model, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || (!together && ftruncate(fd, MOST))) return fprintf(stderr, "%s: %s\n", path, strerror(errno)), 2;
    model->size = together ? 0 : MOST;
    for (me = 0; me < processes; me++) {
        pid_t child = fork();
        if (child == 0) _exit(run(operations / processes, processes));
        if (child < 0) return 2;
    }
    int bad = 0, status;
    while (wait(&status) > 0) {
        if (WIFSIGNALED(status)) fprintf(stderr, "FLAC_SEED=%lu: a process died by signal %d\n", seed, WTERMSIG(status));
        bad |= status != 0;
    }
    me = -1, low = 0, high = MOST;
    if (!bad) whole();
    return bad;
}
