/*
 * Random operations on one tree by one or several processes.
 *
 * tree DIR SEED OPERATIONS PROCESSES   changes the tree in DIR, which is empty at first; with one process says what each operation answered
 * tree DIR                             says what is in it, and whether link counts agree with it
 *
 * With one process the answers and the tree depend on the seed alone: they must be the same on every file system. With several, the tree must be the
 * same after a restart, and sound.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MOST (1 << 19)

static uint64_t state;
static int verbose;
static char buffer[MOST];

static uint32_t number(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t) (state >> 16) % below;
}

static char *path(char *to)
{
    int depth = 1 + (int) number(3);
    char *at = to;

    for (int i = 0; i < depth; i++)
        at += sprintf(at, "%s%c%c", i ? "/" : "", 'a' + (int) number(4), i == depth - 1 ? '0' + (int) number(4) : 'd');
    return to;
}

static uint64_t sum(const char *bytes, ssize_t n)
{
    uint64_t h = 1469598103934665603u;

    for (ssize_t i = 0; i < n; i++)
        h = (h ^ (unsigned char) bytes[i]) * 1099511628211u;
    return h;
}

/* What an open file is asked to do; most often more than once. */
static long on_file(int fd)
{
    uint32_t at = number(MOST / 2), len = 1 + number(number(4) ? 9000 : MOST / 2);

    switch (number(9)) {
    case 0: case 1: case 2:
        memset(buffer, 'a' + (int) number(26), len);
        return pwrite(fd, buffer, len, at);
    case 3:
        return ftruncate(fd, at);
    case 4:
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len);
    case 5:
        return fallocate(fd, number(2) ? FALLOC_FL_KEEP_SIZE : 0, at, len % 20000 + 1);
    case 6:
        return fsync(fd);
    case 7: {
        ssize_t n = pread(fd, buffer, len, at);
        return n < 0 ? -1 : (long) (sum(buffer, n) >> 8);
    }
    default: {
        loff_t from = number(MOST / 4), to = MOST / 4 + number(MOST / 4);
        return copy_file_range(fd, &from, fd, &to, number(MOST / 4), 0);
    }
    }
}

static long file(const char *name)
{
    int flags = number(4) ? O_RDWR | O_CREAT : number(2) ? O_RDWR | O_CREAT | O_EXCL : O_RDWR | O_TRUNC;
    int fd = open(name, flags | O_NONBLOCK | (number(8) ? 0 : O_APPEND), 0600 + number(0200));
    long answer = 0;

    if (fd < 0)
        return -1;
    for (uint32_t i = number(4); i < 4; i++) {
        errno = 0;
        long one = on_file(fd);
        answer = answer * 31 + (one < 0 ? -errno : one);
    }
    close(fd);
    return answer;
}

static long list(const char *name)
{
    DIR *dir = opendir(name);
    long n = 0;

    if (!dir)
        return -1;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static long look(const char *name)
{
    struct stat s;

    if (lstat(name, &s))
        return -1;
    return (long) s.st_mode * 100 + (long) s.st_nlink + (S_ISDIR(s.st_mode) ? 0 : (long) s.st_size * 7);
}

/* Directories are made twice as often as they are removed. */
static const char *const NAMES[] = { "file", "mkdir", "rmdir", "unlink", "link", "symlink", "rename", "renameat2", "setxattr", "removexattr",
    "getxattr", "chmod", "list", "look", "mkfifo", "truncate", "readlink", "mkdir" };

static long act(int what, const char *a, const char *b)
{
    switch (what) {
    case 0: return file(a);
    case 1: return mkdir(a, 0700 + number(0100));
    case 2: return rmdir(a);
    case 3: return unlink(a);
    case 4: return link(a, b);
    case 5: return symlink(number(2) ? b : b + (strlen(b) > 3 ? 3 : 0), a);
    case 6: return rename(a, b);
    case 7: return renameat2(AT_FDCWD, a, AT_FDCWD, b, number(2) ? RENAME_EXCHANGE : number(2) ? RENAME_NOREPLACE : RENAME_WHITEOUT);
    case 8: return setxattr(a, number(2) ? "user.one" : "user.two", b, number(12), number(3) ? 0 : XATTR_CREATE);
    case 9: return removexattr(a, number(2) ? "user.one" : "user.two");
    case 10: return getxattr(a, "user.one", buffer, 100);
    /* Who is not root must be able to go on in his directories. */
    case 11: return chmod(a, (0600 + number(0200)) | (geteuid() ? 0100 : 0));
    case 12: return list(a);
    case 13: return look(a);
    case 14: return mkfifo(a, 0600);
    case 15: return truncate(a, number(MOST));
    case 16: return readlink(a, buffer, 100);
    default: return mkdir(a, 0755);
    }
}

static void work(uint64_t seed, long operations)
{
    char a[64], b[64];

    state = seed * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < 20; i++)
        number(2);
    for (long i = 0; i < operations; i++) {
        /* Half of all operations are on files. */
        int what = number(2) ? 0 : (int) number(sizeof NAMES / sizeof *NAMES);
        path(a);
        path(b);
        /* What paths lead through are directories, most often. */
        if (what == 1 || what == 17 || !number(10))
            a[strlen(a) - 1] = 'd';
        if (!number(10))
            b[strlen(b) - 1] = 'd';
        errno = 0;
        long answer = act(what, a, b);
        if (verbose)
            printf("%ld %s %s %s: %ld %s\n", i, NAMES[what], a, b, answer, answer == -1 ? strerror(errno) : "");
    }
}

/* What was seen of an inode's names. */
static struct { ino_t ino; nlink_t links, names; char name[PATH_MAX]; } *seen;
static size_t inodes;
static int unsound;

static void note(const char *name, const struct stat *s)
{
    size_t i = 0;

    while (i < inodes && seen[i].ino != s->st_ino)
        i++;
    if (i == inodes) {
        seen = realloc(seen, ++inodes * sizeof *seen);
        seen[i].ino = s->st_ino;
        seen[i].links = s->st_nlink;
        seen[i].names = 0;
        strcpy(seen[i].name, name);
    }
    seen[i].names++;
}

static void content(const char *name)
{
    int fd = open(name, O_RDONLY);
    uint64_t h = 0;
    ssize_t n;

    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        h = h * 31 + sum(buffer, n);
    printf(" %016llx%s", (unsigned long long) h, n < 0 ? strerror(errno) : "");
    close(fd);
}

static void attributes(const char *name)
{
    char value[100];

    for (int i = 0; i < 2; i++) {
        ssize_t n = getxattr(name, i ? "user.two" : "user.one", value, sizeof value);
        if (n >= 0)
            printf(" %d=%.*s", i, (int) n, value);
    }
}

static void show(const char *name)
{
    struct dirent **entries;
    int n = scandir(name, &entries, NULL, alphasort);
    nlink_t subdirs = 0;
    struct stat s;

    for (int i = 0; i < n; i++) {
        char child[PATH_MAX];
        const char *entry = entries[i]->d_name;
        if (strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0)
            continue;
        snprintf(child, sizeof child, "%s/%s", name, entry);
        if (lstat(child, &s)) {
            printf("%s: %s\n", child, strerror(errno));
            unsound = 1;
            continue;
        }
        printf("%s %o %ld %ld", child, s.st_mode, (long) s.st_nlink, S_ISDIR(s.st_mode) ? 0 : (long) s.st_size);
        if (S_ISREG(s.st_mode))
            content(child);
        if (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode))
            attributes(child);
        if (S_ISLNK(s.st_mode))
            printf(" -> %.*s", (int) readlink(child, buffer, 100), buffer);
        putchar('\n');
        subdirs += S_ISDIR(s.st_mode);
        if (S_ISDIR(s.st_mode))
            show(child);
        else
            note(child, &s);
    }
    if (stat(name, &s) == 0 && s.st_nlink != subdirs + 2) {
        printf("%s: %ld links, %ld subdirectories\n", name, (long) s.st_nlink, (long) subdirs);
        unsound = 1;
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]))
        return 2;
    umask(022);
    if (argc > 4) {
        int processes = atoi(argv[4]);
        verbose = processes == 1;
        for (int i = 1; i < processes; i++)
            if (fork() == 0) {
                work(strtoull(argv[2], NULL, 0) + 1000u * (unsigned) i, atol(argv[3]));
                return 0;
            }
        work(strtoull(argv[2], NULL, 0), atol(argv[3]));
        for (int status; wait(&status) > 0;)
            unsound |= status != 0;
        return unsound;
    }
    show(".");
    for (size_t i = 0; i < inodes; i++)
        if (seen[i].links != seen[i].names) {
            printf("%s: %ld links, %ld names\n", seen[i].name, (long) seen[i].links, (long) seen[i].names);
            unsound = 1;
        }
    return unsound;
}
