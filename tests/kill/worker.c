/* Works on files until SIGTERM, and writes down what it is about to do ("I ...") and what fsync has acknowledged ("K ...").
 *
 *     worker ID SEED ROOT RECORD [NUMBER]
 *     worker note RECORD TEXT
 *
 * Below ROOT it uses w<ID>/ alone and shared/ together with the others. Each change has a number of its own, which
 * determines the bytes written: `verify.py` knows the same rules. RECORD is a file of the kernel's, and what it holds says which numbers are
 * used; or it is `port:N`, and numbers begin behind NUMBER. A byte sent to port N of a virtual machine is with the host when `outsb` returns: no cut of
 * the power can come between. The second form sends one line TEXT. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __x86_64__
#include <sys/io.h>
#endif

#define OVERWRITE_LENGTH (24 * 4096 + 100)
#define NEED(call) do { if (!(call)) die(__LINE__, #call); } while (0)

static volatile sig_atomic_t stop;
static int record, dir, shared;
static unsigned short port;
static unsigned id;
static uint64_t number;
static uint64_t random_state;

static void die(int line, const char *what) {
    fprintf(stderr, "worker %u, line %d: %s: %s\n", id, line, what, strerror(errno));
    exit(3);
}

static void on_term(int signal) { (void)signal; stop = 1; }

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static unsigned pick(unsigned below) { return (unsigned)(mix(random_state += 0x9E3779B97F4A7C15u) % below); }

static void send_line(const char *line, int length) {
#ifdef __x86_64__
    if (port) {
        size_t left = (size_t)length;
        __asm__ volatile("rep outsb" : "+S"(line), "+c"(left) : "d"(port) : "memory");
        return;
    }
#endif
    NEED(write(record, line, length) == length);
}

static void open_record(const char *name) {
#ifdef __x86_64__
    if (sscanf(name, "port:%hi", &port) == 1) {
        NEED(ioperm(port, 1, 1) == 0);
        return;
    }
#endif
    NEED((record = open(name, O_RDWR | O_APPEND)) >= 0);
}

static void note(char kind, const char *op, const char *name) {
    char line[120];
    send_line(line, snprintf(line, sizeof line, "%c %s %s %llu\n", kind, op, name, (unsigned long long)number));
}

/* Byte `at` of what change `n` writes: a printable letter. */
static char letter(uint64_t n, size_t at) { return (char)('a' + (mix(n) >> (at % 8 * 8) & 15)); }

/* One line: worker, number, length, letters. */
static size_t make_record(char *to, uint64_t n, size_t longest) {
    size_t length = 1 + mix(n + 77) % longest;
    size_t at = (size_t)sprintf(to, "%u:%llu:%zu:", id, (unsigned long long)n, length);
    for (size_t i = 0; i < length; i++) to[at++] = letter(n, i);
    to[at++] = '\n';
    return at;
}

static void append(int where, const char *op, const char *name) {
    char line[4096];
    note('I', op, name);
    int fd = openat(where, name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    NEED(fd >= 0);
    size_t length = make_record(line, number, 3900);
    NEED(write(fd, line, length) == (ssize_t)length);
    NEED(fsync(fd) == 0);
    note('K', op, name);
    NEED(close(fd) == 0);
}

static void fill(int fd) {
    static char bytes[OVERWRITE_LENGTH] __attribute__((aligned(4096)));
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = letter(number, i);
    NEED(pwrite(fd, bytes, sizeof bytes, 0) == sizeof bytes);
    NEED(fsync(fd) == 0);
}

static void overwrite(const char *name) {
    note('I', "overwrite", name);
    int fd = openat(dir, name, O_WRONLY | O_CREAT, 0644);
    NEED(fd >= 0);
    fill(fd);
    note('K', "overwrite", name);
    NEED(close(fd) == 0);
}

static void replace(const char *name) {
    note('I', "replace", name);
    int fd = openat(dir, "tmp", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    NEED(fd >= 0);
    fill(fd);
    NEED(close(fd) == 0);
    NEED(renameat(dir, "tmp", dir, name) == 0);
    NEED(fsync(dir) == 0);
    note('K', "replace", name);
}

static void unlink_it(const char *name) {
    if (faccessat(dir, name, F_OK, 0)) return;
    note('I', "unlink", name);
    NEED(unlinkat(dir, name, 0) == 0);
    NEED(fsync(dir) == 0);
    note('K', "unlink", name);
}

static void make_or_remove_dir(const char *name) {
    int there = faccessat(dir, name, F_OK, 0) == 0;
    note('I', there ? "rmdir" : "mkdir", name);
    NEED((there ? unlinkat(dir, name, AT_REMOVEDIR) : mkdirat(dir, name, 0755)) == 0);
    NEED(fsync(dir) == 0);
    note('K', there ? "rmdir" : "mkdir", name);
}

/* Moves one file between the own and the shared directory: it is always in exactly one of them. */
static void move(void) {
    char there[20];
    snprintf(there, sizeof there, "m%u", id);
    int here = faccessat(dir, "m", F_OK, 0) == 0;
    note('I', here ? "away" : "home", "m");
    NEED((here ? renameat(dir, "m", shared, there) : renameat(shared, there, dir, "m")) == 0);
    NEED(fsync(dir) == 0 && fsync(shared) == 0);
    note('K', here ? "away" : "home", "m");
}

static void step(void) {
    char name[20];
    unsigned which = pick(4);
    number++;
    switch (pick(16)) {
    case 0: case 1: case 2: case 3: snprintf(name, sizeof name, "a%u", which); append(dir, "append", name); break;
    case 4: case 5: case 6: append(shared, "log", "log"); break;
    case 7: case 8: case 9: snprintf(name, sizeof name, "o%u", which); overwrite(name); break;
    case 10: case 11: snprintf(name, sizeof name, "r%u", which); replace(name); break;
    case 12: snprintf(name, sizeof name, "%c%u", "aor"[pick(3)], which); unlink_it(name); break;
    case 13: snprintf(name, sizeof name, "d%u", which); make_or_remove_dir(name); break;
    default: move(); break;
    }
}

/* The highest number that the record file speaks of. */
static uint64_t last_number(const char *name) {
    FILE *before = fopen(name, "r");
    NEED(before);
    unsigned long long n, last = 0;
    char line[4096];
    while (fgets(line, sizeof line, before))
        if (sscanf(line, "N %llu", &n) == 1 || sscanf(line, "%*c %*s %*s %llu", &n) == 1) last = n > last ? n : last;
    fclose(before);
    return last;
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "note")) {
        char line[200];
        open_record(argv[2]);
        send_line(line, snprintf(line, sizeof line, "%.190s\n", argv[3]));
        return 0;
    }
    if (argc < 5) return 2;
    id = (unsigned)atoi(argv[1]);
    random_state = strtoull(argv[2], NULL, 10);
    signal(SIGTERM, on_term);
    char path[4096];
    snprintf(path, sizeof path, "%s/w%u", argv[3], id);
    NEED((dir = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
    snprintf(path, sizeof path, "%s/shared", argv[3]);
    NEED((shared = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
    open_record(argv[4]);
    number = argc > 5 ? strtoull(argv[5], NULL, 10) : last_number(argv[4]);
    while (!stop) step();
    return 0;
}
