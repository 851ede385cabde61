/* A log-structured key-value store on the FLAC space, in six calls of flac.h.
 *
 * A pool holds 64 stores, the shards. A shard is used by one process at a time, by any number of its threads; different shards by different processes at
 * once. A value can be read before it is durable: when its put has not returned yet. After an error of put or delete either may be the case. Every call returns 0 or a negative errno. What put and delete have returned 0 for survives the death of the process and a power cut. */

#ifndef STORE_H
#define STORE_H

#include <stddef.h>
#include <stdint.h>

struct store;

/* Opens shard 0 to 63 of the pool, which is made (with room for `pool_size` bytes, 0: as flac.h says) if there is none. */
int store_open(struct store **store, const char *pool, unsigned shard, uint64_t pool_size);
void store_close(struct store *store);

int store_put(struct store *store, const char *key, const void *value, size_t size);
/* A fresh copy of the value, for free(). -ENOENT. */
int store_get(struct store *store, const char *key, void **value, size_t *size);
/* -ENOENT. */
int store_delete(struct store *store, const char *key);

/* Writes what is live to a new log and frees the old one. Others wait. */
int store_compact(struct store *store);

/* Calls `each` with every key. It must not call the store. */
void store_each(struct store *store, void (*each)(void *context, const char *key), void *context);
/* Keys, and bytes of the log. */
void store_size(struct store *store, size_t *keys, uint64_t *bytes);

#endif
