# Programs built with a compiler's sanitizers, whose libraries stand between ours and libc's, run as they do elsewhere
# needs: gcc
cat >t.c <<'END'
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static void *use(void *name) {
    for (int i = 0; i < 50; i++) {
        char back[5], *block = malloc(2 << 20);
        int fd = open(name, O_CREAT | O_RDWR, 0644);
        if (write(fd, "hallo", 5) != 5 || pread(fd, back, 5, 0) != 5 || memcmp(back, "hallo", 5)) puts("wrong");
        free(block);
        close(fd);
    }
    return NULL;
}
int main(void) {
    enum { SIZE = 8 << 20 };
    char *from = malloc(SIZE), *to, line[10];
    int fd = open("x", O_CREAT | O_RDWR | O_TRUNC, 0644);
    memset(from, 'a', SIZE);
    if (posix_memalign((void **)&to, 4096, SIZE)) return 2;
    printf("%zd %zd", write(fd, from, SIZE), pread(fd, to, SIZE, 0));
    to[5] = 'z';
    printf(" %d\n", memcmp(from, to, 8));
    free(to);
    free(from);
    close(fd);
    FILE *stream = fopen("x", "r+");
    fprintf(stream, "hi");
    rewind(stream);
    puts(fgets(line, sizeof line, stream));
    fclose(stream);
    pthread_t threads[3];
    char names[3][3] = {"t0", "t1", "t2"};
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, use, names[i]);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    struct stat of;
    printf("%d", stat("x", &of));
    printf(" %ld\n", (long)of.st_size);
    return 0;
}
END
# Theirs want to be the first library, and do not know how ours orders its threads.
export ASAN_OPTIONS=verify_asan_link_order=0 TSAN_OPTIONS=ignore_noninstrumented_modules=1
for kind in undefined leak address thread; do
    if gcc -g -fsanitize=$kind -o $kind t.c -lpthread 2>&1; then
        ./$kind
        echo "$kind $?"
    fi
    rm -f $kind
done
