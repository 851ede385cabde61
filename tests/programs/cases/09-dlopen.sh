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
