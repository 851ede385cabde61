/* logstore: a key-value store in a FLAC pool, from the command line; and `worker` and `check`, by which it is tested. */

#include "check.h"
#include "store.h"

#include <errno.h>
#include <flac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: logstore POOL SHARD COMMAND\n"
                            "  put KEY VALUE | get KEY | delete KEY | list | compact | size\n"
                            "  worker RECORD THREADS SEED    change keys at random for ever, and record what was begun and done\n"
                            "  check RECORD                  compare the shard with the record\n";

static void print_key(void *context, const char *key) {
    (void)context;
    puts(key);
}

static int get(struct store *store, const char *key) {
    void *value;
    size_t size;
    int failed = store_get(store, key, &value, &size);
    if (!failed) {
        fwrite(value, 1, size, stdout);
        putchar('\n');
        free(value);
    }
    return failed;
}

static int size(struct store *store) {
    size_t keys;
    uint64_t bytes;
    store_size(store, &keys, &bytes);
    printf("%zu keys, %llu bytes of log\n", keys, (unsigned long long)bytes);
    return 0;
}

int main(int count, char **words) {
    if (count < 4) {
        fputs(usage, stderr);
        return 2;
    }
    struct store *store;
    char *end;
    unsigned long shard = strtoul(words[2], &end, 10);
    int failed = *end ? -EINVAL : store_open(&store, words[1], (unsigned)shard, (uint64_t)1 << 28);
    if (failed) {
        fprintf(stderr, "logstore: opening shard %s of %s: %s%s%s\n", words[2], words[1], strerror(-failed), *flac_error() ? ": " : "", flac_error());
        return 1;
    }
    const char *command = words[3];
    int rest = count - 4;
    if (rest == 2 && !strcmp(command, "put")) {
        failed = store_put(store, words[4], words[5], strlen(words[5]));
    } else if (rest == 1 && !strcmp(command, "get")) {
        failed = get(store, words[4]);
    } else if (rest == 1 && !strcmp(command, "delete")) {
        failed = store_delete(store, words[4]);
    } else if (rest == 0 && !strcmp(command, "list")) {
        store_each(store, print_key, NULL);
    } else if (rest == 0 && !strcmp(command, "compact")) {
        failed = store_compact(store);
    } else if (rest == 0 && !strcmp(command, "size")) {
        failed = size(store);
    } else if (rest == 3 && !strcmp(command, "worker")) {
        failed = work(store, words[4], (unsigned)strtoul(words[5], NULL, 10), strtoull(words[6], NULL, 10));
    } else if (rest == 1 && !strcmp(command, "check")) {
        failed = check(store, words[4]);
    } else {
        fputs(usage, stderr);
        failed = -EINVAL;
    }
    store_close(store);
    if (failed) {
        fprintf(stderr, "logstore: %s: %s\n", command, strerror(-failed));
        return failed == -ENOENT ? 3 : 1;
    }
    return 0;
}
