/* What the cases about single calls share. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <mntent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

extern char **environ;

/* Shows a file. */
static void show(const char *name) {
    char bytes[4096];
    fflush(stdout);
    int fd = open(name, O_RDONLY);
    if (fd < 0) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    ssize_t n = read(fd, bytes, sizeof bytes);
    printf("%s[%zd]:%.*s;\n", name, n, (int)(n < 0 ? 0 : n), bytes);
    fflush(stdout);
    close(fd);
}

/* Waits for a child, and shows how it ended. */
static void w(pid_t pid) {
    int status;
    waitpid(pid, &status, 0);
    printf("status %x\n", status);
    fflush(stdout);
}
