# A program whose filter of system calls ends it for making a thread goes on, whatever it flushes, and so does one that it executes.
# needs: gcc
cat >filter.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static int install(int by_number) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return by_number ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}
static int save(const char *name) {
    static char bytes[24 << 20];
    memset(bytes, 'x', sizeof bytes);
    int fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0644);
    if (fd < 0 || write(fd, bytes, sizeof bytes) != sizeof bytes || fsync(fd)) return 1;
    return close(fd);
}
int main(int argc, char **argv) {
    (void)argc;
    if (!strcmp(argv[1], "save")) return save("third");
    int by_number = !strcmp(argv[1], "number");
    if (!strcmp(argv[2], "early") && save("first")) return 2;
    if (install(by_number)) return 3;
    // The filter is there: a fork without it would be nothing.
    if (prctl(PR_GET_SECCOMP) != 2) return 4;
    if (save("second")) return 5;
    execl(argv[0], argv[0], "save", NULL);
    return 6;
}
END
gcc -O1 -o filter filter.c || exit
for how in name number; do for when in early late; do
    ./filter $how $when
    echo "$how $when: $?"
    ls -l | awk '$5 == 25165824 { print $NF }'
    rm -f first second third
done; done
