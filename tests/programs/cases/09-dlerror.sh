# What the loader says of a failure (dlerror) is there until it is asked for, whatever calls come for the first time in between, and while the message is put together.
# needs: gcc
cat >t.c <<'END'
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *said(void)
{
    const char *message = dlerror();

    return message ? strrchr(message, ' ') + 1 : "nothing";
}

static void first_uses(char *found)
{
    struct stat st;
    int fd = open("f", O_CREAT | O_RDWR, 0600);

    if (write(fd, "bytes", 5) != 5 || pread(fd, found, 5, 0) != 5 || fstat(fd, &st) || lseek(fd, 0, SEEK_SET) || ftruncate(fd, 3))
        exit(1);
    if (stat("f", &st) || access("f", R_OK) || chmod("f", 0644) || rename("f", "g") || unlink("g") || mkdir("d", 0755) || rmdir("d"))
        exit(2);
    close(fd);
    free(realloc(malloc(10), 100));
    free(calloc(10, 10));
}

int main(int argc, char **argv)
{
    char found[6] = "";

    if (argc > 1) {
        for (int i = 0; i < 4; i++) {
            void *h = dlopen("./lib.so", RTLD_NOW);

            if (!h || dlclose(h))
                return 3;
            dlsym(RTLD_DEFAULT, "missing");
            if (strcmp(said(), "missing"))
                return 4;
            if (dlerror())
                return 5;
        }
        return 0;
    }
    dlsym(RTLD_DEFAULT, "missing");
    first_uses(found);
    printf("%s: %s, ", found, said());
    printf("then %s\n", said());
    dlopen("./none.so", RTLD_NOW);
    if (symlink("a", "b") || unlink("b"))
        return 6;
    printf("%s\n", said());
    return 0;
}
END
gcc -O1 -w -o t t.c -ldl || exit 99
echo 'int x;' | gcc -shared -fPIC -xc - -o lib.so
./t
# What the message takes of the heap depends on the program's name.
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32; do
    name=$(printf "%0${n}d" 0)
    ln t "$name"
    "./$name" again || echo "$n: $?"
done
rm -f 0* t
# It is about the library by the name that the program gave it.
cat >names.c <<'END'
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        void *h = dlopen(argv[i], RTLD_NOW);

        if (h)
            dlsym(h, "missing");
        puts(dlerror());
        if (h) {
            dlclose(h);
            dlsym(RTLD_DEFAULT, "missing");
            dlopen(argv[i], RTLD_NOW | RTLD_NOLOAD);
            puts(dlerror() ? "failed" : "not loaded");
        }
    }
    return 0;
}
END
gcc -w -o names names.c -ldl
echo 'no library' >text.so
: >empty.so
mkdir -p a/long/path/to/libraries
echo 'int missing(void); int f(void) { return missing(); }' | gcc -shared -fPIC -xc - -o a/long/path/to/libraries/wants.so
./names ./text.so ./empty.so a/long/path/to/libraries/wants.so ./lib.so ./none.so a/long/path/to/libraries/wants.so ./text.so
(cd a && ../names long/../../text.so long/path/to/libraries/wants.so)
rm -rf a ./*.so names
echo done
