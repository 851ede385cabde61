# Message catalogues, which libc opens inside itself: by a path, and by NLSPATH.
# needs: gcc gencat
cat >t.c <<'END'
#include "calls.h"
#include <locale.h>
#include <nl_types.h>

static void tell(const char *name, int flag)
{
    errno = 0;
    nl_catd c = catopen(name, flag);
    int why = c == (nl_catd) -1 ? errno : 0;

    printf("%s %d: %d %s %s\n", name, flag, why, catgets(c, 1, 1, "none"), catgets(c, 1, 2, "none"));
    printf("%d\n", catclose(c));
}

int main(int count, char **names)
{
    int before = open("t.c", O_RDONLY);

    setlocale(LC_ALL, "");
    for (int i = 1; i < count; i++) {
        tell(names[i], 0);
        tell(names[i], NL_CAT_LOCALE);
    }
    int after = open("t.c", O_RDONLY);

    printf("%d\n", after - before);
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
mkdir -p l/de_AT.X l/de empty
printf '$set 1\n1 one\n2 two\n' >m.msg
printf '$set 1\n1 eins\n2 zwei\n' >de.msg
gencat m.cat m.msg && gencat l/de/m.cat de.msg && cp l/de/m.cat l/de_AT.X/other
: >empty/m.cat
./t ./m.cat "$PWD/m.cat" ./missing ./empty/m.cat ./l m
export LANG=de_AT.X
for places in l/%l/%N.cat "$PWD/no/%N:$PWD/l/%l/%N.cat" ':%N.cat' %x:l/%L/%N l/%t/%c/%N; do
    NLSPATH=$places ./t m other m.cat
done
cd l && NLSPATH=%N.cat:../%N.cat ../t m
