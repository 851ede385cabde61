/* How the store is tested: workers that change it until they are killed, writing down in a file of the kernel's what they begin and what was acknowledged; and
 * a comparison of what is there with what was written down. */

#ifndef CHECK_H
#define CHECK_H

struct store;

/* Changes keys with so many threads until killed. Returns only after a failure. */
int work(struct store *store, const char *record, unsigned threads, unsigned long long seed);

/* Every key must have its last acknowledged value, or the one that was begun after it. Which it is goes into the record. -EIO if one differs. */
int check(struct store *store, const char *record);

#endif
