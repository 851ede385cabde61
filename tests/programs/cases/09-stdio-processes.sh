# Buffered output over fork, exit, abort and a kill; many commands at once.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void over_fork(void)
{
    char l[100]; {
        FILE *f = fopen("dd", "w");

        fputs("data", f);
        fflush(stdout);
        if (fork() == 0) {
            fputs("child", f);
            exit(0);
        }
        wait(0);
        fclose(f);
        f = fopen("dd", "r");
        printf("%s\n", fgets(l, 100, f));
    }
}

static void commands(void)
{
    char l[100]; {
        FILE *f[30];

        for (int i = 0; i < 30; i++) {
            char s[40];

            sprintf(s, "echo %d", i);
            f[i] = popen(s, "r");
        } for (int i = 0; i < 30; i++) {
            fgets(l, 100, f[i]);
            printf("%d %d ", atoi(l) == i, pclose(f[i]));
        } puts("");
}}

static void late(void)
{
    FILE *f = fopen("ae", "w");

    fputs("late", f);
}

int main(int c, char **v)
{
    if (v[1][0] == 'k') {
        fputs("half", stdout);
        raise(SIGKILL);
    }
    if (v[1][0] == 'a') {
        printf("buffered");
        if (vfork() == 0)
            _exit(0);
        abort();
    }
    if (v[1][0] == 'x') {
        atexit(late);
        fputs("unflushed", fopen("ex", "w"));
        return 3;
    }
    over_fork();
    commands();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t p
(ulimit -c 0; ./t a >o; echo $?; cat o; ./t k >o; echo $?; cat o) 2>/dev/null
./t x; echo $?; cat ex ae
