# A read of 8 MiB keeps its content when another process overwrites, truncates, punches, renames over or deletes the file.
# needs: gcc
cat >t.c <<'END'
#include "memory.h"
static void once(const char *what, const char *command, void *buffer) {
    make("f", BIG, 1);
    int fd = open("f", O_RDONLY);
    read_whole(fd, buffer, BIG, 0);
    other(command);
    expect(what, buffer, BIG, 0, 1);
    close(fd);
    expect(what, buffer, BIG, 0, 1);
}
static void all(void *(*get)(size_t)) {
    once("overwritten", "dd if=/dev/zero of=f bs=1M count=8 conv=notrunc status=none", get(BIG));
    once("one byte overwritten", "printf x | dd of=f bs=1 seek=4194305 conv=notrunc status=none", get(BIG));
    once("truncated", "truncate -s 0 f", get(BIG));
    once("truncated within", "truncate -s 5000001 f", get(BIG));
    once("truncated and rewritten", ": >f; yes | head -c 8388608 >f", get(BIG));
    once("deleted", "rm f", get(BIG));
    once("deleted and others made", "rm f; for i in 1 2 3; do yes $i | head -c 8388608 >n$i; done; rm n1 n2 n3", get(BIG));
    once("replaced by rename", "yes | head -c 8388608 >g; mv g f", get(BIG));
    once("punched", "fallocate -p -o 0 -l 8388608 f", get(BIG));
    once("appended", "yes | head -c 100000 >>f", get(BIG));
    once("mapped and changed", "python3 -c 'import mmap; f = open(\"f\", \"r+b\"); m = mmap.mmap(f.fileno(), 0); m[:] = bytes(len(m))'", get(BIG));
}
int main(void) {
    all(pages);
    all(huge);
    char *odd = malloc(BIG + 100);
    once("odd buffer", "dd if=/dev/zero of=f bs=1M count=8 conv=notrunc status=none", odd + 33);
    make("f", BIG, 1);
    int fd = open("f", O_RDWR);
    char *b = pages(BIG);
    read_whole(fd, b, BIG - 4321, 4321);
    char *zero = calloc(1, BIG);
    write_whole(fd, zero, BIG, 0);
    expect("own overwrite, odd offset", b, BIG - 4321, 4321, 1);
    read_whole(fd, b, BIG, 0);
    expect_byte("and then the new content", b, BIG, 0);
    NEED(ftruncate(fd, 0) == 0);
    expect_byte("own truncate", b, BIG, 0);
    return 0;
}
END
gcc -O1 -I"$LIB" -o t t.c && ./t
echo $?
rm -f t f g
