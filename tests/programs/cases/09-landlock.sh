# A program that shuts itself in by Landlock before it opens its first file, and again when it has opened all, goes on with them.
# needs: gcc
cat >shut.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
/* What no program may do any more, of the rights that every kernel with Landlock knows, and of the later ones: renaming between directories, cutting files off. */
static int give_up(unsigned long long rights) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0) return 0;
    struct landlock_ruleset_attr attr = {.handled_access_fs = rights & ((1ull << (abi < 2 ? 13 : abi < 3 ? 14 : 15)) - 1)};
    int rules = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, rules, 0)) return -1;
    return close(rules);
}
int main(int argc, char **argv) {
    static char bytes[1 << 20];
    struct stat s;
    unsigned long long kept = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
    if (argc < 3 || give_up(~kept)) return 2;
    int from = open(argv[1], O_RDONLY), to = open(argv[2], O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (from < 0 || to < 0) return perror("open"), 3;
    if (give_up(~0ull)) return 4;
    ssize_t n;
    while ((n = read(from, bytes, sizeof bytes)) > 0)
        if (write(to, bytes, n) != n) return perror("write"), 5;
    if (n || fsync(to) || fstat(from, &s) || fchmod(to, s.st_mode) || futimens(to, (struct timespec[]){s.st_atim, s.st_mtim})) return perror("end"), 6;
    return close(to);
}
END
gcc -O1 -o shut shut.c || exit
seq 1000000 >a
chmod 640 a
touch -d 2001-01-01 a
./shut a b
echo "$?"
cmp a b && stat -c '%a %Y %s' b
./shut a b
echo "$?"
(cd / && "$ROOT/case/shut" "$ROOT/case/a" "$ROOT/case/c")
cmp a c
if command -v xz >/dev/null; then
    xz -k a && xz -l a.xz | awk 'NR == 2 { print $NF }' && xz -dc a.xz | cmp - a && rm a && xz -d a.xz && cmp a b && ls
fi
