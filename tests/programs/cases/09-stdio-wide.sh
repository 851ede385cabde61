# Wide characters on files.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
static void wide(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    FILE *f = fopen("w1", "w");

    printf("fwide %d\n", fwide(f, 1) > 0);
    fputws(L"h\u00e4llo\n", f);
    fwprintf(f, L"%ls %d %s\n", L"w\u20ac", 5, "n\xc3\xa4");
    fputwc(L'\u20ac', f);
    putwc(L'x', f);
    fclose(f);
    show("w1");
    f = fopen("w1", "r");
    wchar_t b[50];

    fgetws(b, 50, f);
    printf("%ls", b);
    wint_t c = fgetwc(f);

    printf("%x ", c);
    ungetwc(L'\u20ac', f);
    c = getwc(f);
    printf("%x\n", c);
    fgetws(b, 3, f);
    printf("%ls|", b);
    while ((c = fgetwc(f)) != WEOF)
        printf("%x ", c);
    printf("eof %d\n", feof(f) != 0);
    fclose(f);
    f = fopen("w2", "w");
    fputs("\xff\xfe", f);
    fclose(f);
    f = fopen("w2", "r");
    errno = 0;
    c = fgetwc(f);
    printf("%x %d err %d\n", c, errno, ferror(f) != 0);
    fclose(f);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    wide();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
printf 'h\303\244llo\n' >f; rev f; rev <f >g; cat g; rev <f | rev
