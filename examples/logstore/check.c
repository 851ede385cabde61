#include "check.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 8
#define KEYS 40
#define LONGEST 20000
/* A version that is a multiple of this deletes the key. */
#define DELETES 7

struct job {
    struct store *store;
    int record;
    unsigned thread;
    unsigned long long random;
};

/* What is known of a key: the versions last begun and last acknowledged; 0: it is not there. */
struct known {
    unsigned long begun, done;
};

static struct known keys[THREADS][KEYS];

static unsigned long long next(unsigned long long *state) {
    unsigned long long x = *state;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return *state = x;
}

static void name_of(char *name, size_t room, unsigned thread, unsigned key) { snprintf(name, room, "thread-%u/key-%u", thread, key); }

/* The content of a version follows from its number. */
static size_t content(char *bytes, unsigned thread, unsigned key, unsigned long version) {
    unsigned long long state = (version * THREADS + thread) * KEYS + key + 1;
    size_t size = next(&state) % 5 ? next(&state) % 300 : next(&state) % LONGEST;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(state >> i % 48 ^ i);
    }
    return size;
}

static int note(int record, char what, unsigned thread, unsigned key, unsigned long version) {
    char line[64];
    int size = snprintf(line, sizeof line, "%c %u %u %lu\n", what, thread, key, version);
    return write(record, line, (size_t)size) == size ? 0 : -EIO;
}

/* Reads the record; a last line that was cut off counts for nothing. */
static int read_record(const char *record) {
    FILE *file = fopen(record, "r");
    char line[64];
    if (!file) {
        return errno == ENOENT ? 0 : -errno;
    }
    while (fgets(line, sizeof line, file)) {
        char what;
        unsigned thread, key;
        unsigned long version;
        if (strchr(line, '\n') && sscanf(line, "%c %u %u %lu", &what, &thread, &key, &version) == 4 && thread < THREADS && key < KEYS) {
            if (what == 'b') {
                keys[thread][key].begun = version;
            } else {
                keys[thread][key].done = version;
            }
        }
    }
    fclose(file);
    return 0;
}

static int change(struct job *job, char *bytes) {
    char name[40];
    unsigned key = next(&job->random) % KEYS;
    struct known *known = &keys[job->thread][key];
    unsigned long version = ++known->begun;
    name_of(name, sizeof name, job->thread, key);
    int failed = note(job->record, 'b', job->thread, key, version);
    if (failed) {
        return failed;
    }
    if (version % DELETES == 0) {
        failed = store_delete(job->store, name);
        failed = failed == -ENOENT ? 0 : failed;
    } else {
        failed = store_put(job->store, name, bytes, content(bytes, job->thread, key, version));
    }
    return failed ? failed : note(job->record, 'd', job->thread, key, version);
}

static void *run(void *context) {
    struct job *job = context;
    char *bytes = malloc(LONGEST);
    int failed = bytes ? 0 : -ENOMEM;
    for (unsigned long step = 1; !failed; step++) {
        failed = change(job, bytes);
        if (!failed && job->thread == 0 && step % 100 == 0) {
            failed = store_compact(job->store);
        }
    }
    fprintf(stderr, "logstore: thread %u: %s\n", job->thread, strerror(-failed));
    exit(1);
}

int work(struct store *store, const char *record, unsigned threads, unsigned long long seed) {
    static struct job jobs[THREADS];
    pthread_t thread;
    int failed = read_record(record);
    int file = open(record, O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (failed || file < 0 || threads == 0 || threads > THREADS) {
        return failed ? failed : file < 0 ? -errno : -EINVAL;
    }
    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = (struct job){store, file, i, (seed + i) * 0x9E3779B97F4A7C15u | 1};
        failed = pthread_create(&thread, NULL, run, &jobs[i]);
        if (failed) {
            return -failed;
        }
    }
    for (;;) {
        pause();
    }
}

/* Whether the key is what this version says. */
static int is_version(struct store *store, unsigned thread, unsigned key, unsigned long version) {
    static char bytes[LONGEST];
    char name[40];
    void *value;
    size_t size;
    name_of(name, sizeof name, thread, key);
    int failed = store_get(store, name, &value, &size);
    if (version % DELETES == 0) {
        free(value);
        return failed == -ENOENT;
    }
    int same = !failed && size == content(bytes, thread, key, version) && memcmp(value, bytes, size) == 0;
    free(value);
    return same;
}

static void count(void *context, const char *key) {
    (void)key;
    ++*(size_t *)context;
}

int check(struct store *store, const char *record) {
    size_t expected = 0, found = 0;
    int failed = read_record(record);
    int file = open(record, O_WRONLY | O_APPEND);
    if (failed || file < 0) {
        return failed ? failed : -errno;
    }
    for (unsigned thread = 0; thread < THREADS; thread++) {
        for (unsigned key = 0; key < KEYS; key++) {
            struct known known = keys[thread][key];
            unsigned long version = known.done;
            if (known.begun > known.done && is_version(store, thread, key, known.begun)) {
                version = known.begun;
            } else if (!is_version(store, thread, key, known.done)) {
                fprintf(stderr, "thread %u key %u: neither version %lu, which was acknowledged, nor %lu\n", thread, key, known.done, known.begun);
                failed = -EIO;
            }
            expected += version % DELETES != 0;
            if (known.begun > known.done) {
                int unwritten = note(file, 'd', thread, key, version) || note(file, 'b', thread, key, version);
                failed = unwritten ? -EIO : failed;
            }
        }
    }
    close(file);
    store_each(store, count, &found);
    if (found != expected) {
        fprintf(stderr, "%zu keys, not %zu\n", found, expected);
        failed = -EIO;
    }
    return failed;
}
