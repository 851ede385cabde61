# After a large read and fork both sides write the buffer and see only their own changes; frames outlive either.
# needs: gcc
cat >t.c <<'END'
#include "memory.h"
static void both(void *(*get)(size_t)) {
    make("f", BIG, 1);
    int fd = open("f", O_RDWR);
    unsigned char *b = get(BIG);
    read_whole(fd, b, BIG, 0);
    int to_child[2], to_parent[2];
    NEED(pipe(to_child) == 0 && pipe(to_parent) == 0);
    fflush(stdout);
    pid_t pid = fork();
    char token = 'x';
    if (pid == 0) {
        expect("child sees it", b, BIG, 0, 1);
        memset(b, 0xCC, BIG / 2);
        NEED(write(to_parent[1], &token, 1) == 1 && read(to_child[0], &token, 1) == 1);
        expect_byte("child keeps its half", b, BIG / 2, 0xCC);
        expect("and the other", b + BIG / 2, BIG / 2, BIG / 2, 1);
        read_whole(fd, b, BIG, 0);
        expect_byte("child reads what the parent wrote to the file", b, BIG, 0xAA);
        int g = open("g", O_RDWR | O_CREAT | O_TRUNC, 0644);
        write_whole(g, b, BIG, 0);
        memset(b, 0, BIG);
        _exit(0);
    }
    NEED(read(to_parent[0], &token, 1) == 1);
    expect("parent sees nothing of the child", b, BIG, 0, 1);
    memset(b + BIG / 2, 0xDD, BIG / 2);
    unsigned char *all = malloc(BIG);
    memset(all, 0xAA, BIG);
    write_whole(fd, all, BIG, 0);
    NEED(write(to_child[1], &token, 1) == 1);
    int status;
    NEED(waitpid(pid, &status, 0) == pid);
    printf("child ended %d\n", status);
    expect("parent's half", b, BIG / 2, 0, 1);
    expect_byte("parent's own change", b + BIG / 2, BIG / 2, 0xDD);
    int g = open("g", O_RDONLY);
    read_whole(g, all, BIG, 0);
    expect_byte("what the child wrote", all, BIG, 0xAA);
    NEED(ftruncate(fd, 0) == 0);
    expect("still", b, BIG / 2, 0, 1);
    close(fd);
    close(g);
}
static void generations(void) {
    make("f", BIG, 3);
    int fd = open("f", O_RDONLY);
    unsigned char *b = huge(BIG);
    read_whole(fd, b, BIG, 0);
    for (int i = 0; i < 6; i++) {
        fflush(stdout);
        if (fork() == 0) {
            expect("generation", b, BIG, 0, 3);
            if (i == 2) { read_whole(fd, b, BIG, 0); unlink("f"); }
            continue;
        }
        int status;
        wait(&status);
        expect("after the child", b, BIG, 0, 3);
        exit(status != 0);
    }
    expect("the last", b, BIG, 0, 3);
    exit(0);
}
static void exec_and_vfork(void) {
    make("f", BIG, 4);
    int fd = open("f", O_RDONLY);
    unsigned char *b = pages(BIG);
    read_whole(fd, b, BIG, 0);
    other("yes | head -c 8388608 >f");
    fflush(stdout);
    pid_t pid = vfork();
    if (pid == 0) { execl("/bin/true", "true", (char *)0); _exit(1); }
    int status;
    waitpid(pid, &status, 0);
    expect("after vfork and exec", b, BIG, 0, 4);
    pid = fork();
    if (pid == 0) { kill(getpid(), 9); }
    waitpid(pid, &status, 0);
    other("rm f; yes x | head -c 16777216 >h; rm h");
    expect("after a killed child", b, BIG, 0, 4);
}
int main(void) { both(pages); both(huge); exec_and_vfork(); generations(); }
END
gcc -O1 -include signal.h -I"$LIB" -o t t.c && ./t
echo $?
rm -f t f g
