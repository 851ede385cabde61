# Programs with an allocator of their own: one that aborts when it is given back what it did not hand out, and one that wraps the next. What libc, the
# library below and the program hand to each other comes from one of them.
# needs: gcc
cat >calls.c <<'END'
#include "calls.h"
#include <dirent.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
static int each(const char *path, const struct stat *s, int type, struct FTW *at) {
    (void)path, (void)s, (void)type, (void)at;
    return 0;
}
/* Everything whose result the program frees, and what allocates inside. */
int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    char *here = getcwd(NULL, 0), *real = realpath(".", NULL), *canon = canonicalize_file_name("calls.c"), *now = get_current_dir_name();
    printf("%d %d %d\n", strcmp(here, real), strncmp(canon, here, strlen(here)), strcmp(here, now));
    free(here), free(real), free(canon), free(now);
    FILE *f = fopen("lines", "w+");
    for (int i = 0; i < 100; i++) fprintf(f, "%*d\n", i + 1, i);
    rewind(f);
    char *line = NULL;
    size_t room = 0, sum = 0;
    while (getline(&line, &room, f) > 0) sum += strlen(line);
    printf("%zu\n", sum);
    free(line);
    fclose(f);
    struct dirent **names;
    int n = scandir(".", &names, NULL, alphasort);
    for (int i = 0; i < n; i++) free(names[i]);
    printf("%d names\n", n);
    free(names);
    DIR *dir = opendir(".");
    while (readdir(dir)) n--;
    printf("%d\n", n);
    closedir(dir);
    glob_t found;
    printf("glob %d\n", glob("*.c", 0, NULL, &found));
    globfree(&found);
    char *paths[] = {".", NULL};
    FTS *walk = fts_open(paths, FTS_PHYSICAL, NULL);
    while (fts_read(walk)) n++;
    fts_close(walk);
    printf("%d, %d\n", n, nftw(".", each, 5, FTW_PHYS));
    char *temporary = tempnam(".", "own");
    printf("%d\n", temporary != NULL);
    free(temporary);
    f = popen("cat lines | wc -l", "r");
    char text[100];
    printf("%s", fgets(text, sizeof text, f));
    printf("%d\n", pclose(f));
    f = tmpfile();
    fputs("temporary", f);
    f = freopen("lines", "r", f);
    printf("%s", fgets(text, sizeof text, f));
    fclose(f);
    unsigned char *block = malloc(40 << 20);
    memset(block, 1, 40 << 20);
    int fd = open("large", O_RDWR | O_CREAT, 0600);
    printf("%zd\n", write(fd, block, 40 << 20));
    printf("%zd\n", pread(fd, block, 40 << 20, 0));
    block = realloc(block, 80 << 20);
    printf("%d %zd\n", block[(40 << 20) - 1], pread(fd, block + (40 << 20), 40 << 20, 0));
    free(block);
    close(fd);
    setenv("A", "b", 1);
    if (fork() == 0) execlp("sh", "sh", "-c", "exit 3", NULL);
    int status;
    wait(&status);
    printf("%x\n", status);
    return 0;
}
END
cat >own.c <<'END'
/* Blocks have a head that says so; nothing is given back but to this allocator, and what is given back must be its. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define MAGIC 0x6f776e20616c6c6fu
struct head { uint64_t magic; size_t size; };
static char *arena, *end;
static struct head *head(void *block) {
    struct head *h = (struct head *)block - 1;
    if (h->magic != MAGIC) {
        if (write(2, "not this allocator's\n", 21) < 0) {}
        abort();
    }
    return h;
}
static void *take(size_t size, size_t align) {
    if (!arena) {
        arena = mmap(NULL, 1ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        end = arena + (1ul << 30);
    }
    char *at = (char *)(((uintptr_t)arena + sizeof(struct head) + align - 1) & -align);
    if (size > (size_t)(end - at)) return errno = ENOMEM, NULL;
    arena = at + ((size + 15) & ~(size_t)15);
    ((struct head *)at)[-1] = (struct head){MAGIC, size};
    return at;
}
void *malloc(size_t size) { return take(size, 16); }
void *calloc(size_t n, size_t size) { return take(n * size, 16); }
void *memalign(size_t align, size_t size) { return take(size, align); }
void *aligned_alloc(size_t align, size_t size) { return take(size, align); }
int posix_memalign(void **to, size_t align, size_t size) { return (*to = take(size, align)) ? 0 : ENOMEM; }
void *valloc(size_t size) { return take(size, 4096); }
void *pvalloc(size_t size) { return take(size, 4096); }
size_t malloc_usable_size(void *block) { return block ? head(block)->size : 0; }
void free(void *block) { if (block) head(block)->magic = 0; }
void *realloc(void *block, size_t size) {
    void *new = malloc(size);
    if (block && new) memcpy(new, block, head(block)->size < size ? head(block)->size : size), free(block);
    return new;
}
END
cat >wrap.c <<'END'
/* Asks for the next allocator, and puts a head before each block. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define MAGIC 0x7772617070656420u
struct head { uint64_t magic; size_t size; };
#define NEXT(type, name, ...) ({ static type (*next)(); if (!next) next = (type (*)())dlsym(RTLD_NEXT, name); next(__VA_ARGS__); })
static void *show(struct head *h, size_t size) {
    if (!h) return NULL;
    *h = (struct head){MAGIC, size};
    return h + 1;
}
static struct head *hide(void *block) {
    struct head *h = (struct head *)block - 1;
    if (h->magic != MAGIC) {
        if (write(2, "not wrapped\n", 12) < 0) {}
        abort();
    }
    return h;
}
void *malloc(size_t size) { return show(NEXT(void *, "malloc", size + 16), size); }
void *calloc(size_t n, size_t size) { return show(NEXT(void *, "calloc", 1, n * size + 16), n * size); }
void *realloc(void *block, size_t size) { return show(NEXT(void *, "realloc", block ? hide(block) : NULL, size + 16), size); }
void free(void *block) {
    if (!block) return;
    struct head *h = hide(block);
    h->magic = 0;
    NEXT(void, "free", h);
}
size_t malloc_usable_size(void *block) { return block ? hide(block)->size : 0; }
END
for kind in own wrap; do
    gcc -O1 -w -fno-builtin -I"$LIB" -o $kind calls.c $kind.c 2>gcc.err || { cat gcc.err; exit 99; }
    rm -f gcc.err
    ./$kind
    echo "$kind: $?"
done
# The same as a library that comes before libc, or is loaded before all others.
gcc -O1 -w -fno-builtin -shared -fPIC -o libown.so own.c
gcc -O1 -w -fno-builtin -I"$LIB" -o linked calls.c -L. -lown -Wl,-rpath,"$PWD" 2>gcc.err
./linked | tail -1
gcc -O1 -w -fno-builtin -I"$LIB" -o plain calls.c 2>gcc.err
LD_PRELOAD="$PWD/libown.so${LD_PRELOAD:+:$LD_PRELOAD}" ./plain | tail -1
LD_PRELOAD="${LD_PRELOAD:+$LD_PRELOAD:}$PWD/libown.so" ./plain | tail -1
rm -f own wrap linked plain libown.so gcc.err
