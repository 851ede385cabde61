# nftw, ftw, fts and glob see what is there.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
#include <ftw.h>
#include <fts.h>
#include <glob.h>
static int vis(const char *p, const struct stat *s, int t, struct FTW *f)
{
    printf("%s %d %d %d %lld\n", p, t, f->base, f->level, (long long) (S_ISREG(s->st_mode) ? s->st_size : 0));
    return 0;
}

static int visc(const char *p, const struct stat *s, int t, struct FTW *f)
{
    struct stat st;

    printf("%s %d %d\n", p, t, lstat(p + f->base, &st));
    return 0;
}

static int cmpn(const FTSENT ** a, const FTSENT ** b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int vis3(const char *p, const struct stat *s, int t)
{
    printf("%s %d\n", p, t);
    return 0;
}

static void walks(void)
{
    system
        ("mkdir -p t/a/b t/skip/x t/z; echo 1 > t/a/f; echo 22 > t/a/b/g; ln -s ../a t/z/l; ln -s nowhere t/z/dang; touch t/sib t/z/1 t/z/2");
    int fl[] = { FTW_PHYS, FTW_DEPTH | FTW_PHYS, FTW_MOUNT | FTW_PHYS };
    for (int i = 0; i < 3; i++) {
        printf("nftw %x\n", fl[i]);
        printf("= %d\n", nftw("t", vis, 10, fl[i]));
    }
    printf("= %d\n", nftw("t", visc, 10, FTW_CHDIR | FTW_PHYS));
    printf("= %d\n", nftw("t", visc, 10, FTW_CHDIR | FTW_DEPTH | FTW_PHYS));
    char cw[999];

    getcwd(cw, 999);
    printf("%s\n", strrchr(cw, '/'));
    printf("= %d %d\n", nftw("nonex", vis, 10, 0), errno);
    printf("= %d\n", ftw("t/z", vis3, 5));
    printf("= %d\n", nftw("t/a/f", vis, 10, 0));
    char *pa[] = { "t", "t/a/f", "nonex", "t/z/l", 0 };
    for (int o = 0; o < 4; o++) {
        int op[] = { FTS_PHYSICAL, FTS_LOGICAL, FTS_PHYSICAL | FTS_SEEDOT | FTS_NOCHDIR, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR };
        FTS *f = fts_open(pa, op[o], cmpn);
        FTSENT *e;

        while ((e = fts_read(f))) {
            printf("%s %s %d l%d n%d p%d e%d\n", e->fts_path, e->fts_name, e->fts_info, e->fts_level, e->fts_namelen, e->fts_pathlen,
                   e->fts_info == FTS_NS ? e->fts_errno : 0);
            if (!strcmp(e->fts_name, "skip"))
                fts_set(f, e, FTS_SKIP);
            if (!strcmp(e->fts_name, "a") && e->fts_info == FTS_D) {
                FTSENT *c = fts_children(f, FTS_NAMEONLY);

                for (; c; c = c->fts_link)
                    printf(" c %s\n", c->fts_name);
            }
        }
        printf("end %d\n", errno);
        fts_close(f);
    }
    glob_t g;
    const char *gp[] = { "t/*", "t/*/*", "*/z/?", "t/{a,z}/*", "nomatch*", "t/a/[fg]", "/etc/host[n]ame", "./t//*" };
    for (unsigned i = 0; i < 8; i++) {
        int r = glob(gp[i], GLOB_BRACE | GLOB_MARK, 0, &g);

        printf("glob %s %d fl%x", gp[i], r, r ? 0 : g.gl_flags);
        if (!r) {
            for (size_t k = 0; k < g.gl_pathc; k++)
                printf(" %s", g.gl_pathv[k]);
            globfree(&g);
        }
        puts("");
    }
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    walks();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t | LC_ALL=C sort
