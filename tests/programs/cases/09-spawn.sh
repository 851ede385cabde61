# posix_spawn with file actions and attributes.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void spawns(void)
{
    posix_spawn_file_actions_t a;

    posix_spawn_file_actions_init(&a);
    posix_spawn_file_actions_addopen(&a, 1, "so", O_CREAT | O_WRONLY | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&a, 1, 2);
    posix_spawn_file_actions_addclose(&a, 0);
    char *v[] = { "sh", "-c", "echo out; echo err >&2; [ -d dd ] && echo top; cat 2>/dev/null || echo noin", 0 };
    pid_t p;

    printf("%d\n", posix_spawn(&p, "/bin/sh", &a, 0, v, environ));
    w(p);
    show("so");
    mkdir("dd", 0755);
    posix_spawn_file_actions_addchdir_np(&a, "dd");
    posix_spawn_file_actions_addopen(&a, 1, "so2", O_CREAT | O_WRONLY | O_TRUNC, 0644);
    printf("%d\n", posix_spawnp(&p, "sh", &a, 0, v, environ));
    w(p);
    chdir("dd");
    show("so2");
    chdir("..");
    printf("%d\n", posix_spawn(&p, "/nonexist", 0, 0, v, environ));
    printf("%d\n", posix_spawnp(&p, "nonexist", 0, 0, v, environ));
    close(open("noscript", O_CREAT | O_WRONLY, 0755));
    printf("%d %d\n", posix_spawn(&p, "./noscript", 0, 0, v, environ), posix_spawnp(&p, "./noscript", 0, 0, v, environ));
    posix_spawn_file_actions_t b;

    posix_spawn_file_actions_init(&b);
    posix_spawn_file_actions_addopen(&b, 5, "nodir/x", O_RDONLY, 0);
    printf("%d\n", posix_spawn(&p, "/bin/true", &b, 0, v, environ));
    posix_spawnattr_t t;

    posix_spawnattr_init(&t);
    posix_spawnattr_setflags(&t, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&t, 0);
    sigset_t m;

    sigemptyset(&m);
    sigaddset(&m, SIGUSR1);
    posix_spawnattr_setsigmask(&t, &m);
    sigfillset(&m);
    posix_spawnattr_setsigdefault(&t, &m);
    char *v2[] = { "sh", "-c", "kill -USR1 $$; [ $(ps -o pgid= $$) = $$ ] && echo pg; true", 0 };
    signal(SIGINT, SIG_IGN);
    printf("%d\n", posix_spawn(&p, "/bin/sh", 0, &t, v2, environ));
    w(p);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    spawns();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
