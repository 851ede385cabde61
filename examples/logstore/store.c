/* The log of a shard lies in one half of the shard's addresses; compaction writes a new log into the other half. One metalog record says where
 * the log is and where it ends: it changes with the pages of each commit, in one step. So there is nothing to repair after a crash: what lies behind the end
 * was never there, and what lies in the other half is garbage. The index (key to place of its newest record) is in memory only, read from the log
 * when the shard is opened. */

#include "store.h"

#include <errno.h>
#include <flac.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 64
#define SHARD_SPAN ((uint64_t)1 << 40)
#define HALF (SHARD_SPAN / 2)
#define GONE UINT32_MAX
/* Where the first record lies in its half: not at its beginning, because 0 is no record's address. */
#define FIRST 8
#define COPY_AT_ONCE ((size_t)1 << 20)

/* What precedes key and value of each record in the log; the next record begins at a multiple of 8. */
struct head {
    uint32_t key_size;
    uint32_t value_size; /* GONE: the key was deleted */
    uint64_t check;      /* of key and value */
};

/* The value of the metalog record. */
struct place {
    uint64_t base;
    uint64_t end;
};

struct entry {
    char *key; /* NULL: never used */
    uint64_t at; /* of its newest record; 0: deleted */
};

struct store {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char name[16];
    uint64_t start; /* of the shard's addresses */
    struct place log; /* what is committed */
    uint64_t tail; /* where the next record goes */
    bool committing;
    struct entry *index;
    size_t room, used, live;
};

static uint64_t mix(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    while (size--) {
        hash = (hash ^ *p++) * 0x100000001b3u;
    }
    return hash;
}

static uint64_t check_of(const void *key, size_t key_size, const void *value, size_t size) {
    return mix(mix(0xcbf29ce484222325u, key, key_size), value, size);
}

static uint64_t record_size(const struct head *head) {
    uint64_t value = head->value_size == GONE ? 0 : head->value_size;
    return (sizeof *head + head->key_size + value + 7) / 8 * 8;
}

static uint64_t page_floor(uint64_t at) { return at / FLAC_PAGE * FLAC_PAGE; }
static uint64_t page_ceil(uint64_t at) { return page_floor(at + FLAC_PAGE - 1); }

/* --- the index ------------------------------------------------------------------------------------------------ */

static struct entry *slot_of(struct store *s, const char *key) {
    size_t i = mix(0xcbf29ce484222325u, key, strlen(key)) & (s->room - 1);
    while (s->index[i].key && strcmp(s->index[i].key, key) != 0) {
        i = (i + 1) & (s->room - 1);
    }
    return &s->index[i];
}

static int grow(struct store *s) {
    struct entry *old = s->index;
    size_t room = s->room;
    s->index = calloc(room ? room * 2 : 64, sizeof *old);
    if (!s->index) {
        s->index = old;
        return -ENOMEM;
    }
    s->room = room ? room * 2 : 64;
    for (size_t i = 0; i < room; i++) {
        if (old[i].key) {
            *slot_of(s, old[i].key) = old[i];
        }
    }
    free(old);
    return 0;
}

/* The entry of the key, made if missing. */
static int entry_of(struct store *s, const char *key, struct entry **found) {
    if (s->used * 2 >= s->room) {
        int failed = grow(s);
        if (failed) {
            return failed;
        }
    }
    *found = slot_of(s, key);
    if (!(*found)->key) {
        (*found)->key = strdup(key);
        if (!(*found)->key) {
            return -ENOMEM;
        }
        s->used++;
    }
    return 0;
}

static void point(struct store *s, struct entry *entry, uint64_t at) {
    s->live = s->live + (at != 0) - (entry->at != 0);
    entry->at = at;
}

/* --- the log -------------------------------------------------------------------------------------------------- */

static int read_head(struct store *s, uint64_t at, struct head *head) {
    int failed = zcopy_from_flac(head, at, sizeof *head);
    if (!failed && (head->key_size == 0 || record_size(head) > s->log.end - s->log.base)) {
        return -EIO;
    }
    return failed;
}

/* Reads the log from begin to end. */
static int replay(struct store *s) {
    for (uint64_t at = s->log.base + FIRST; at < s->log.end;) {
        struct head head;
        struct entry *entry;
        int failed = read_head(s, at, &head);
        if (failed) {
            return failed;
        }
        char *key = calloc(1, (size_t)head.key_size + 1);
        if (!key) {
            return -ENOMEM;
        }
        failed = zcopy_from_flac(key, at + sizeof head, head.key_size);
        if (!failed) {
            failed = entry_of(s, key, &entry);
        }
        free(key);
        if (failed) {
            return failed;
        }
        point(s, entry, head.value_size == GONE ? 0 : at);
        at += record_size(&head);
    }
    s->tail = s->log.end;
    return 0;
}

/* Commits the pages of [from, to), and where the log lies. */
static int commit(struct store *s, uint64_t from, uint64_t to, struct place place) {
    struct flac_change change = {s->name, strlen(s->name), &place, sizeof place};
    struct flac_metalog metalog = {&change, 1};
    pflush_handle *handle = NULL;
    int failed = pflush_add(&handle, page_floor(from), page_ceil(to) - page_floor(from));
    if (failed) {
        pflush_cancel(&handle);
        return failed;
    }
    return pflush_commit(&handle, &metalog);
}

/* Makes everything up to `mine` durable. Whoever comes first commits for all who have appended by then; the others wait. Needs the lock, and gives it up. */
static int make_durable(struct store *s, uint64_t base, uint64_t mine) {
    while (s->log.base == base && s->log.end < mine) {
        if (s->committing) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        uint64_t from = s->log.end, to = s->tail;
        s->committing = true;
        pthread_mutex_unlock(&s->lock);
        int failed = commit(s, from, to, (struct place){base, to});
        pthread_mutex_lock(&s->lock);
        s->committing = false;
        if (!failed) {
            s->log.end = to;
        }
        pthread_cond_broadcast(&s->changed);
        if (failed) {
            return failed;
        }
    }
    return 0;
}

/* Appends a record and makes it durable; `size` GONE deletes. */
static int append(struct store *s, const char *key, const void *value, uint32_t size) {
    size_t key_size = strlen(key), value_size = size == GONE ? 0 : size;
    if (key_size == 0 || key_size > UINT32_MAX - 1) {
        return -EINVAL;
    }
    struct head head = {(uint32_t)key_size, size, check_of(key, key_size, value, value_size)};
    struct entry *entry;
    pthread_mutex_lock(&s->lock);
    int failed = size == GONE && (!s->used || slot_of(s, key)->at == 0) ? -ENOENT : entry_of(s, key, &entry);
    uint64_t at = s->tail, base = s->log.base;
    if (!failed && at + record_size(&head) > base + HALF) {
        failed = -EFBIG;
    }
    failed = failed ? failed : zcopy_to_flac(at, &head, sizeof head);
    failed = failed ? failed : zcopy_to_flac(at + sizeof head, key, key_size);
    failed = failed ? failed : zcopy_to_flac(at + sizeof head + key_size, value, value_size);
    if (!failed) {
        s->tail = at + record_size(&head);
        point(s, entry, size == GONE ? 0 : at);
        failed = make_durable(s, base, s->tail);
    }
    pthread_mutex_unlock(&s->lock);
    return failed;
}

/* --- the calls ------------------------------------------------------------------------------------------------ */

static void recover(void *context, const void *key, size_t key_size, const void *value, size_t value_size) {
    struct store *s = context;
    if (key_size == strlen(s->name) && memcmp(key, s->name, key_size) == 0 && value_size == sizeof s->log) {
        memcpy(&s->log, value, sizeof s->log);
    }
}

static uint64_t other_half(const struct store *s) { return s->log.base == s->start ? s->start + HALF : s->start; }

int store_open(struct store **store, const char *pool, unsigned shard, uint64_t pool_size) {
    if (shard >= SHARDS) {
        return -EINVAL;
    }
    struct store *s = calloc(1, sizeof *s);
    if (!s) {
        return -ENOMEM;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    snprintf(s->name, sizeof s->name, "log/%02u", shard);
    s->start = shard * SHARD_SPAN;
    s->log.base = s->start;
    s->log.end = s->log.base + FIRST;
    struct flac_options options = {pool_size, 0, recover, s};
    int failed = init_flac(pool, &options);
    if (!failed) {
        failed = replay(s);
    }
    /* What a compaction left behind that did not come to its end, or just did. */
    if (!failed) {
        failed = pfree(other_half(s), HALF, NULL);
    }
    if (failed) {
        store_close(s);
        return failed;
    }
    *store = s;
    return 0;
}

void store_close(struct store *s) {
    for (size_t i = 0; i < s->room; i++) {
        free(s->index[i].key);
    }
    free(s->index);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int store_put(struct store *s, const char *key, const void *value, size_t size) {
    return size >= GONE ? -E2BIG : append(s, key, value, (uint32_t)size);
}

int store_delete(struct store *s, const char *key) { return append(s, key, "", GONE); }

int store_get(struct store *s, const char *key, void **value, size_t *size) {
    struct head head;
    *value = NULL;
    pthread_mutex_lock(&s->lock);
    uint64_t at = s->used ? slot_of(s, key)->at : 0;
    int failed = at ? read_head(s, at, &head) : -ENOENT;
    if (!failed) {
        *size = head.value_size;
        *value = malloc(*size + 1);
        failed = *value ? zcopy_from_flac(*value, at + sizeof head + head.key_size, *size) : -ENOMEM;
    }
    pthread_mutex_unlock(&s->lock);
    if (!failed && check_of(key, strlen(key), *value, *size) != head.check) {
        failed = -EIO;
    }
    if (failed) {
        free(*value);
        *value = NULL;
    }
    return failed;
}

/* Copies the record at `from` to `to`. */
static int copy_record(uint64_t from, uint64_t to, uint64_t size, char *buffer) {
    int failed = 0;
    while (!failed && size > 0) {
        size_t n = size < COPY_AT_ONCE ? (size_t)size : COPY_AT_ONCE;
        failed = zcopy_from_flac(buffer, from, n);
        failed = failed ? failed : zcopy_to_flac(to, buffer, n);
        from += n, to += n, size -= n;
    }
    return failed;
}

static int write_new_log(struct store *s, struct entry *index, uint64_t base, uint64_t *end, char *buffer) {
    uint64_t to = base + FIRST, committed = base;
    for (size_t i = 0; i < s->room; i++) {
        struct head head;
        if (!index[i].at) {
            continue;
        }
        int failed = read_head(s, index[i].at, &head);
        failed = failed ? failed : copy_record(index[i].at, to, record_size(&head), buffer);
        if (failed) {
            return failed;
        }
        index[i].at = to;
        to += record_size(&head);
        /* Committed in pieces, so that the cache is not full of uncommitted pages; nothing refers to them yet. */
        if (to - committed > 16 * COPY_AT_ONCE) {
            failed = commit(s, committed, to, s->log);
            if (failed) {
                return failed;
            }
            committed = page_floor(to);
        }
    }
    *end = to;
    return commit(s, committed, to, (struct place){base, to});
}

int store_compact(struct store *s) {
    char *buffer = aligned_alloc(FLAC_PAGE, COPY_AT_ONCE);
    pthread_mutex_lock(&s->lock);
    int failed = 0;
    while (!failed && (s->committing || s->log.end != s->tail)) {
        failed = make_durable(s, s->log.base, s->tail);
    }
    uint64_t base = other_half(s), end = base;
    struct entry *index = malloc((s->room ? s->room : 1) * sizeof *index);
    failed = failed ? failed : buffer && index ? 0 : -ENOMEM;
    if (!failed) {
        if (s->room) {
            memcpy(index, s->index, s->room * sizeof *index);
        }
        failed = write_new_log(s, index, base, &end, buffer);
    }
    if (!failed) {
        uint64_t old = s->log.base;
        s->log.base = base;
        s->log.end = s->tail = end;
        free(s->index);
        s->index = index;
        index = NULL;
        failed = pfree(old, HALF, NULL);
    } else {
        /* The old log is as it was; what was written of the new one goes. */
        (void)pfree(base, HALF, NULL);
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    free(index);
    free(buffer);
    return failed;
}

void store_each(struct store *s, void (*each)(void *context, const char *key), void *context) {
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->room; i++) {
        if (s->index[i].at) {
            each(context, s->index[i].key);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void store_size(struct store *s, size_t *keys, uint64_t *bytes) {
    pthread_mutex_lock(&s->lock);
    *keys = s->live;
    *bytes = s->log.end - s->log.base;
    pthread_mutex_unlock(&s->lock);
}
