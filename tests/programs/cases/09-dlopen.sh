# dlopen of libraries in FLAC: each once, after dlclose again, with their dependencies. A function of a library of its own is the one that is called, whatever its name.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
#include <dlfcn.h>
static void dl(void)
{
    system
        ("echo 'int f(void){return 42;}' | gcc -shared -fPIC -xc - -o libx.so; echo 'int f(void){return 43;}' | gcc -shared -fPIC -xc - -o liby.so");
    void *h = dlopen("./libx.so", RTLD_NOW);

    printf("%d\n", h != 0);
    if (!h) {
        puts(dlerror());
        return;
    }
    printf("%d\n", ((int (*)(void)) dlsym(h, "f")) ());
    void *h2 = dlopen("./libx.so", RTLD_NOW);

    printf("same %d\n", h == h2);
    void *h3 = dlopen("./liby.so", RTLD_NOW);

    printf("%d %d\n", h3 != h, ((int (*)(void)) dlsym(h3, "f")) ());
    printf("%d\n", dlopen("./none.so", RTLD_NOW) == 0);
    printf("%d %d\n", dlclose(h), dlclose(h2));
    h = dlopen("./libx.so", RTLD_NOW);
    printf("%d\n", ((int (*)(void)) dlsym(h, "f")) ());
    printf("%d\n", dlopen("libm.so.6", RTLD_NOW) != 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    dl();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c -ldl 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
rm -f *.so

# A function of a library that happens to be called like one of libaio's.
cat >own.c <<'END'
int io_setup(int a, void *b) { return b ? a : 42; }
END
cat >user.c <<'END'
#include <stdio.h>
int io_setup(int, void *);
int main(void) { return printf("%d\n", io_setup(1, 0)) < 0; }
END
gcc -shared -fPIC -o libown.so own.c && gcc -o user user.c -L. -lown -Wl,-rpath,'$ORIGIN' && ./user
rm -f libown.so user

# A library that is to look for its symbols in itself and what it needs before anything else, as php's extensions are, finds files all the same.
cat >deep.c <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int save(const char *name)
{
    struct stat st;
    FILE *f = fopen(name, "w");
    if (!f || fputs("deep", f) < 0 || fclose(f)) return -1;
    int fd = open(name, O_RDWR | O_CREAT, 0644);
    return fd < 0 || fstat(fd, &st) || close(fd) ? -2 : (int)st.st_size;
}
END
cat >deeply.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND);
        int (*save)(const char *) = library ? (int (*)(const char *))dlsym(library, "save") : 0;
        printf("%d\n", save ? save("saved") : -3);
    }
    return 0;
}
END
outside=$(mktemp -d /tmp/XXXXXX)
gcc -w -shared -fPIC -o ./deep.so deep.c && cp deep.so "$outside/deep.so" && gcc -o deeply deeply.c -ldl && for library in "$outside/deep.so" ./deep.so; do
    ./deeply $library && cat saved && rm saved && echo " and seen"
done
rm -rf "$outside" deep.so deeply
