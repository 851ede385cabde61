# The file keeps its content when the program changes the buffer it read into; reading again brings the file's content back.
# needs: gcc
cat >t.c <<'END'
#include "memory.h"
static void all(void *(*get)(size_t)) {
    make("f", BIG, 1);
    int fd = open("f", O_RDWR);
    unsigned char *b = get(BIG);
    for (int round = 0; round < 5; round++) {
        read_whole(fd, b, BIG, 0);
        expect("read", b, BIG, 0, 1);
        memset(b + round * 4096, 0xEE, BIG - round * 8192);
        b[BIG - 1] ^= 1;
        expect_file("file after the buffer changed", "f", BIG, 0, 1);
    }
    for (int i = 0; i < 50; i++) { read_whole(fd, b, BIG, 0); b[i * 4096] ^= 0xFF; }
    read_whole(fd, b, BIG, 0);
    expect("read 50 times into one buffer", b, BIG, 0, 1);
    for (int i = 0; i < 50; i++) read_whole(fd, b + (i % 7) * 4096, 2 * MIB, i * 4096);
    expect("overlapping reads", b, 4096, 49 * 4096, 1);
    fill(b, BIG, 2);
    write_whole(fd, b, BIG, 0);
    expect_file("written from a buffer read into", "f", BIG, 0, 2);
    memset(b, 0, BIG);
    expect_file("and the buffer changed", "f", BIG, 0, 2);
    read_whole(fd, b, BIG, 0);
    int other_fd = open("g", O_RDWR | O_CREAT | O_TRUNC, 0644);
    write_whole(other_fd, b, BIG, 0);
    expect_file("copied", "g", BIG, 0, 2);
    b[0] ^= 1; b[5 * MIB] ^= 1; b[BIG - 1] ^= 1;
    expect_file("the copy after the buffer changed", "g", BIG, 0, 2);
    expect_file("the source after the buffer changed", "f", BIG, 0, 2);
    write_whole(other_fd, b, BIG, 0);
    unsigned char *check = pages(BIG);
    read_whole(other_fd, check, BIG, 0);
    printf("changed bytes written: %d %d\n", memcmp(check, b, BIG), check[0] == (pattern(0, 2) ^ 1));
    expect_file("the source still", "f", BIG, 0, 2);
    memset(check, 0, BIG);
    write_whole(fd, check, BIG / 2, 0);
    read_whole(other_fd, check, BIG, 0);
    printf("the copy after the source changed: %d\n", memcmp(check, b, BIG));
    read_whole(fd, b, BIG, 0);
    write_whole(fd, b, 4 * MIB, 3 * MIB);
    expect_byte("written back into the same file, shifted", b, 4 * MIB, 0);
    read_whole(fd, check, BIG, 0);
    expect_byte("shifted part", check + 3 * MIB, 4 * MIB, 0);
    expect("what follows", check + 7 * MIB, MIB, 7 * MIB, 2);
    write_whole(fd, b + 4 * MIB, 4 * MIB, 0);
    write_whole(fd, b + 4 * MIB, 3 * MIB, 123);
    read_whole(fd, check, BIG, 0);
    expect("odd offset", check + 123, 3 * MIB, 4 * MIB, 2);
    munmap(check, BIG);
    close(fd);
    close(other_fd);
}
int main(void) { all(pages); all(huge); return 0; }
END
gcc -O1 -I"$LIB" -o t t.c && ./t
echo $?
rm -f t f g
