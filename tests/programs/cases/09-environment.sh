# A cleared environment and another library to preload leave the files where they are; programs know where they were started from.
# roots: both
# needs: gcc
env -i /bin/echo text >f; echo "$?"; cat f
env -i /usr/bin/env; echo "nothing: $?"
env -i A=1 /bin/sh -c 'cat f; /bin/pwd; exec /usr/bin/env' | grep -v '^PWD\|^_=\|^OLDPWD' | sed "s|$ROOT||"
mkdir bin; cp /bin/readlink /bin/env /bin/cat bin
bin/readlink /proc/self/exe | sed "s|$ROOT||"; (cd bin; PATH=.:$PATH readlink /proc/self/exe) | sed "s|$ROOT||"
ln -s bin/readlink link; ./link /proc/self/exe | sed "s|$ROOT||"; ./link -f /proc/self/exe | sed "s|$ROOT||"
printf '#!%s/case/bin/readlink -n\n' "$ROOT" >script; chmod +x script; ./script; echo "$?"
env -i ./bin/env; env -i ./bin/cat f
cat >k.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
char *getlogin(void) { return "from the library"; }
ssize_t write(int fd, const void *from, size_t size)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    return real(fd, size == 2 && *(char *)from == 'x' ? "y\n" : from, size);
}
END
cat >p.c <<'END'
#include <stdio.h>
#include <unistd.h>
char *getlogin(void);
int main(void) { char *name = getlogin(); puts(name ? name : "none"); fflush(stdout); return write(1, "x\n", 2) != 2; }
END
gcc -w -shared -fPIC -o k.so k.c && gcc -w -o p p.c && cp p "$OUT/p" || exit 99
for program in ./p "$OUT/p"; do
    LD_PRELOAD=./k.so $program; LD_PRELOAD=$PWD/k.so $program >g; cat g; LD_PRELOAD=${LD_PRELOAD:+$LD_PRELOAD:}./k.so $program >>g; cat g
done
LD_PRELOAD=./k.so sh -c 'echo "$LD_PRELOAD"; ./p'
(cd bin; LD_PRELOAD=../k.so ../p)
rm -f k.so p
