# wordexp: patterns, quotes, variables, commands, and what it refuses.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
#include <wordexp.h>

static wordexp_t words;

static void tell(const char *text, int flags)
{
    int r = wordexp(text, &words, flags);

    printf("<%s> %x: %d", text, flags, r);
    if (!r) {
        size_t from = flags & WRDE_DOOFFS ? words.we_offs : 0;

        printf(" %zu", words.we_wordc);
        for (size_t i = 0; i < from; i++)
            printf(" %s", words.we_wordv[i] ? "?" : "none");
        for (size_t i = 0; i < words.we_wordc; i++)
            printf(" [%s]", words.we_wordv[from + i]);
        printf(" %d", words.we_wordv[from + words.we_wordc] == NULL);
    }
    printf("\n");
}

int main(void)
{
    static const char *texts[] = {
        "*.c", "*", "a?.txt b*", "[ab]1.txt", "[!a]*.txt", "'*'.c \"?\" \\*", "\"a\"*.txt", "a\"*\".txt", "$D/*", "${D}/x*", "\"$D\"/[xy]",
        "$(echo a1.txt)", "`echo a1.txt` a*", "$((2*3))", "no*match", "no'*'*match", "~/*", "", "a b  c", "a|b", "$UNSET*", "'open", "d/*/deep*",
        "*/../a*", "'sp ace'*", "sp*", ".h*", "[", "a[", "$[2*3]", "$[1/0]", "$[2*3))", "$[2*3]*", "\\[*", "back\\\\*",
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    setenv("D", "d", 1);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tell(texts[i], 0);
        if (words.we_wordv)
            wordfree(&words);
    }
    tell("$(echo *)", WRDE_NOCMD);
    tell("$UNSET*", WRDE_UNDEF);
    words.we_offs = 2;
    tell("a*", WRDE_DOOFFS);
    tell("d/* x", WRDE_DOOFFS | WRDE_APPEND);
    tell("*.c", WRDE_DOOFFS | WRDE_REUSE);
    wordfree(&words);
    char path[4096];

    getcwd(path, sizeof path);
    strcat(path, "/b*");
    chdir("/");
    if (!wordexp(path, &words, 0))
        printf("%zu %s\n", words.we_wordc, strrchr(words.we_wordv[0], '/'));
    tell("/etc/pass[w]d /etc/host?", 0);
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
mkdir -p d/e/f
touch a1.txt a2.txt b1.txt d/x d/y d/e/f/deep1 d/e/deep2 'sp ace1' .hidden 'back\1' '[1'
./t
