/* A process with a FLAC space forks: both go on, the child without the parent's handles. */

#include <errno.h>
#include <flac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPECT(call, wanted)                                                                                                   \
    do {                                                                                                                       \
        long is = (call), should = (wanted);                                                                                   \
        if (is != should) {                                                                                                    \
            printf("%s:%d: %s is %ld, not %ld\n", __FILE__, __LINE__, #call, is, should);                                      \
            fflush(stdout);                                                                                                    \
            _exit(1);                                                                                                          \
        }                                                                                                                      \
    } while (0)

static char page[FLAC_PAGE], seen[FLAC_PAGE];

static int commit(flac_addr addr) {
    pflush_handle *handle = NULL;
    int failed = pflush_add(&handle, addr, FLAC_PAGE);
    return failed ? failed : pflush_commit(&handle, NULL);
}

static void write_page(flac_addr addr, char byte) {
    memset(page, byte, sizeof page);
    EXPECT(zcopy_to_flac(addr, page, sizeof page), 0);
}

static void expect_page(flac_addr addr, char byte) {
    EXPECT(zcopy_from_flac(seen, addr, sizeof seen), 0);
    EXPECT(seen[0], byte);
    EXPECT(memcmp(seen, seen + 1, sizeof seen - 1), 0);
}

static void *busy(void *stop) {
    char mine[FLAC_PAGE] = {0};
    for (flac_addr i = 0; !__atomic_load_n((int *)stop, __ATOMIC_SEQ_CST); i++) {
        EXPECT(zcopy_to_flac((1 << 20) + i % 16 * FLAC_PAGE, mine, sizeof mine), 0);
        EXPECT(commit((1 << 20) + i % 16 * FLAC_PAGE), 0);
    }
    return NULL;
}

int main(int count, char **words) {
    struct flac_options options = {(uint64_t)1 << 26, (uint64_t)1 << 26, NULL, NULL};
    EXPECT(count, 2);
    EXPECT(zcopy_to_flac(0, page, 1), -ENXIO);
    EXPECT(init_flac(words[1], &options), 0);
    EXPECT(init_flac("/elsewhere", &options), -EBUSY);
    pflush_handle *handle = NULL;
    write_page(0, 1);
    EXPECT(pflush_add(&handle, 0, FLAC_PAGE), 0);
    /* Attached memory is both processes' after the fork, and each has its own copy of what it writes. */
    size_t size = 256 * FLAC_PAGE;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 7, size);
    EXPECT(zcopy_to_flac(1 << 24, memory, size), 0);
    EXPECT(flac_attach(memory, 1 << 24, size, FLAC_COPY_ON_WRITE), 0);
    int stop = 0;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, busy, &stop), 0);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            EXPECT(pflush_add(&handle, FLAC_PAGE, FLAC_PAGE), -EINVAL);
            EXPECT(commit(0), -EBUSY);
            pflush_cancel(&handle);
            EXPECT(commit(0), -EBUSY);
            write_page(FLAC_PAGE, (char)(round + 2));
            EXPECT(commit(FLAC_PAGE), 0);
            memory[0] = 9;
            EXPECT(memory[size - 1], 7);
            if (round % 2) {
                exit(0);
            }
            _exit(0);
        }
        int status;
        EXPECT(waitpid(child, &status, 0), child);
        EXPECT(status, 0);
        expect_page(FLAC_PAGE, (char)(round + 2));
        EXPECT(memory[0], 7);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    EXPECT(pflush_commit(&handle, NULL), 0);
    expect_page(0, 1);
    EXPECT(commit(0), 0);
    EXPECT(exit_flac(), 0);
    EXPECT(exit_flac(), -ENXIO);
    EXPECT(init_flac(words[1], &options), -EBUSY);
    puts("ok");
    return 0;
}
