/* Stores into a shared mapping that was made for reading, when it has become writable, and leaves it to the end of the process.
 *
 * usage: writable FILE mprotect|pkey_mprotect|syscall|mremap|fork */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEN = 256 << 10 };

int main(int count, char **args) {
    static char ones[LEN];
    if (count != 3) return 2;
    memset(ones, 1, LEN);
    int fd = open(args[1], O_RDWR | O_CREAT, 0644), writable = PROT_READ | PROT_WRITE;
    if (write(fd, ones, LEN) != LEN || fsync(fd)) return 3;
    char *map = mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return 4;
    if (!strcmp(args[2], "mprotect") && mprotect(map, LEN, writable)) return 5;
    if (!strcmp(args[2], "pkey_mprotect") && syscall(SYS_pkey_mprotect, map, LEN, writable, -1)) return 6;
    if (!strcmp(args[2], "syscall") && syscall(SYS_mprotect, map, LEN, writable)) return 7;
    if (!strcmp(args[2], "mremap")) {
        map = mremap(map, LEN / 2, LEN, MREMAP_MAYMOVE);
        if (map == MAP_FAILED || mprotect(map, LEN, writable)) return 8;
    }
    if (!strcmp(args[2], "fork")) {
        int status;
        if (fork() == 0) {
            if (mprotect(map, LEN, writable)) _exit(9);
            map[100000] = 9;
            _exit(0);
        }
        wait(&status);
        return status != 0;
    }
    map[100000] = 9;
    return 0;
}
