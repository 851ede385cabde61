# A bad address is EFAULT to every call, as it is to the kernel's, and ends nobody: on files here, and on others before FLAC is used.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

static void tell(const char *call, long result)
{
    int e = errno;

    printf("%s: %s\n", call, result == -1 ? strerrorname_np(e) : "done");
}
#define T(call) (errno = 0, tell(#call, (long)(call)))

static void on_sockets(void *x)
{
    struct sockaddr_un name = { AF_UNIX, "socket" };
    socklen_t room = sizeof name;
    char b[100];
    int s = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct msghdr m = { .msg_control = x, .msg_controllen = 100 };

    T(bind(s, x, 110));
    T(bind(s, x, 20));
    T(connect(s, x, 20));
    T(bind(s, (void *)&name, sizeof name));
    T(getsockname(s, x, &room));
    T(getsockname(s, (void *)&name, x));
    T(sendto(s, b, 10, 0, x, 20));
    T(sendto(s, x, 10, 0, (void *)&name, sizeof name));
    T(sendmsg(s, x, 0));
    T(recvmsg(s, x, MSG_DONTWAIT));
    T(sendmmsg(s, x, 1, 0));
    T(recvmmsg(s, x, 1, MSG_DONTWAIT, 0));
    T(sendmsg(s, &m, 0));
    m = (struct msghdr){ .msg_name = x, .msg_namelen = 20 };
    T(sendmsg(s, &m, 0));
    T(recvmsg(s, &m, MSG_DONTWAIT));
    close(s);
    unlink("socket");
}

static void on_paths(void *x, int dir)
{
    struct stat s;
    struct statx sx;
    char b[4096];

    T(open(x, O_RDONLY));
    T(openat(dir, x, O_CREAT | O_RDWR, 0600));
    T(creat(x, 0600));
    T(stat(x, &s));
    T(stat("f", x));
    T(lstat("f", x));
    T(stat("missing", x));
    T(fstatat(dir, x, &s, 0));
    T(fstatat(dir, "f", x, 0));
    T(fstatat(dir, "", x, AT_EMPTY_PATH));
    T(statx(dir, x, 0, 0, &sx));
    T(statx(dir, "f", 0, 0, x));
    T(access(x, 0));
    T(chmod(x, 0));
    T(lchown(x, 0, 0));
    T(rename(x, "b"));
    T(rename("f", x));
    T(link(x, "b"));
    T(link("f", x));
    T(symlink(x, "b"));
    T(symlink("f", x));
    T(unlink(x));
    T(rmdir(x));
    T(mkdir(x, 0));
    T(mknod(x, S_IFREG, 0));
    T(readlink(x, b, 10));
    T(readlink("l", x, 10));
    T(truncate(x, 0));
    T(chdir(x));
    T(chroot(x));
    T(statfs(x, (void *)b));
    T(statfs("f", x));
    T(utimensat(dir, "f", x, 0));
    T(getxattr(x, "user.a", b, 10));
    T(getxattr("f", x, b, 10));
    T(getxattr("f", "user.a", x, 10));
    T(setxattr("f", "user.a", x, 10, 0));
    T(setxattr("f", x, b, 10, 0));
    T(listxattr("f", x, 100));
    T(removexattr("f", x));
    T(inotify_add_watch(inotify_init1(0), x, 2));
    T(execve(x, 0, 0));
    T(syscall(SYS_openat2, dir, x, b, 24));
    T(syscall(SYS_openat2, dir, "f", x, 24));
    T(syscall(SYS_getcwd, x, 100));
    T(syscall(SYS_getdents64, dir, x, 4096));
}

static void on_files(void *x, int f, int p[2])
{
    off_t at = 0;

    lseek(f, 0, SEEK_SET);
    T(fstat(f, x));
    T(fstatfs(f, x));
    T(fcntl(f, F_GETLK, x));
    T(fcntl(f, F_SETLK, x));
    T(fcntl(f, F_OFD_SETLK, x));
    T(read(f, x, 100));
    T(write(f, x, 100));
    T(pread(f, x, 100, 0));
    T(readv(f, x, 1));
    T(writev(f, x, 1));
    T(preadv(f, x, 1, 0));
    T(preadv2(f, x, 1, 0, 0));
    T(readv(f, x, 2000));
    T(sendfile(f, f, x, 10));
    T(copy_file_range(f, x, f, &at, 10, 0));
    T(splice(f, x, p[1], 0, 10, 0));
    T(ioctl(f, FIONREAD, x));
    T(ioctl(f, FIONBIO, x));
    T(fgetxattr(f, "user.a", x, 10));
}

static void all(const char *what, void *x)
{
    int dir = open(".", O_RDONLY), f = open("f", O_RDWR | O_CREAT, 0644), p[2];

    printf("-- %s\n", what);
    write(f, "some bytes", 10);
    fsetxattr(f, "user.a", "xx", 2, 0);
    symlink("f", "l");
    pipe(p);
    on_paths(x, dir);
    if ((long)x > 9)
        on_files(x, f, p);
    on_sockets(x);
    unlink("l");
    unlink("f");
    close(p[0]);
    close(p[1]);
    close(f);
    close(dir);
}

int main(void)
{
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char here[4096];

    setvbuf(stdout, NULL, _IOLBF, 0);
    mprotect(pages + 4096, 4096, PROT_NONE);
    getcwd(here, sizeof here);
    chdir("/tmp");
    T(open(pages + 4096, O_RDONLY));
    T(access((void *)-1, 0));
    T(getsockname(0, (void *)&here, (void *)(pages + 4096)));
    chdir(here);
    memset(pages, 'a', 4096);
    all("nobody may read it", pages + 4096);
    all("no address", (void *)-1);
    all("low", (void *)8);
    all("the kernel's", (void *)0xffff888000000000);
    close(open("f", O_RDWR | O_CREAT, 0644));
    setxattr("f", "user.a", "xx", 2, 0);
    symlink("f", "l");
    on_paths(pages + 4095, AT_FDCWD);
    T(getcwd(NULL, (size_t)1 << 62) ? 0 : -1);
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
