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

// A stream is for bytes or for wide characters, once it was used or told.
static void orientation(void)
{
    FILE *f = fopen("o", "w+");

    printf("%d", fwide(f, 0));
    printf(" %d", fwide(f, 1));
    printf(" %d", fwide(f, 0));
    printf(" %d\n", fwide(f, -1));
    f = freopen("o", "w+", f);
    printf("%d", fwide(f, 0));
    printf(" %d", fwide(f, -1));
    printf(" %d %x\n", fwide(f, 1), fputwc(L'w', f));
    fclose(f);
    f = fopen("o", "w+");
    printf("%d", fputc('b', f));
    printf(" %d", fwide(f, 0));
    printf(" %x %d\n", fputwc(L'w', f), fputws(L"ws", f));
    fclose(f);
    show("o");
    f = fopen("o", "r");
    printf("%d", fgetc(f));
    printf(" %d %d\n", fwide(f, 1), fgetws((wchar_t[9]){0}, 9, f) == NULL);
    fclose(f);
    f = fopen("o", "r");
    printf("%x", fgetwc(f));
    printf(" %d %d\n", fwide(f, 0), fwide(f, -1));
    fclose(f);
    f = fopen("o", "w");
    setvbuf(f, NULL, _IOFBF, 1000);
    printf("%d", fwide(f, 0));
    printf(" %x %d\n", fputwc(L'w', f), fwide(f, 0));
    fclose(f);
    int fd = open("o", O_RDONLY);

    f = fdopen(fd, "r");
    printf("%d", fwide(f, 0));
    printf(" %x %d\n", fgetwc(f), fwide(f, 0));
    fclose(f);
}

// What is scanned, where the stream stands afterwards, and how long what is scanned may be.
static void scanning(void)
{
    FILE *f = fopen("s", "w");

    fputs("12 n\xc3\xa4me 3.5\nx=7,y\n 99", f);
    for (int i = 0; i < 3000; i++)
        fputs("  \xe2\x82\xac", f);
    fputs("\n  42 end", f);
    fclose(f);
    f = fopen("s", "r");
    int n = 0, m = 0, got;
    wchar_t w[20] = { 0 };
    char s[20] = { 0 };
    double d = 0;

    got = fwscanf(f, L"%d %ls %lf", &n, w, &d);
    printf("%d: %d %ls %g, %ld", got, n, w, d, ftell(f));
    printf(" %x\n", fgetwc(f));
    got = fwscanf(f, L"x=%d,%d", &n, &m);
    printf("%d: %d %d, %x", got, n, m, fgetwc(f));
    printf(" %x\n", fgetwc(f));
    got = fwscanf(f, L"%2d%n%s", &n, &m, s);
    printf("%d: %d %d %s %ld\n", got, n, m, s, ftell(f));
    for (got = 0; fwscanf(f, L" %1l[\u20ac]", w) == 1; got++);
    printf("%d %ls\n", got, w);
    rewind(f);
    wchar_t *all = NULL;

    got = fwscanf(f, L"%*[^\u20ac]%ml[ \u20ac]", &all);
    printf("%d: %zu, %ld\n", got, all ? wcslen(all) : 0, ftell(f));
    free(all);
    got = fwscanf(f, L"%d", &n);
    printf("%d: %d eof %d", got, n, feof(f) != 0);
    got = fwscanf(f, L"%d", &n);
    printf(" %d eof %d", got, feof(f) != 0);
    got = fwscanf(f, L"%19s", s);
    printf(" %d: %s eof %d err %d", got, s, feof(f) != 0, ferror(f) != 0);
    got = fwscanf(f, L"%d", &n);
    printf(" %d %d\n", got, feof(f) != 0);
    fclose(f);
    f = fopen("s", "r");
    fgetc(f);
    printf("of bytes %d\n", fwscanf(f, L"%d", &n));
    fclose(f);
    f = fopen("s", "w+");
    fputws(L"55 66", f);
    rewind(f);
    got = fwscanf(f, L"%d%d", &n, &m);
    printf("%d: %d %d eof %d\n", got, n, m, feof(f) != 0);
    fclose(f);
    freopen("s", "r", stdin);
    got = wscanf(L"%d", &n);
    printf("%d: %d, %x\n", got, n, getwchar());
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    wide();
    orientation();
    scanning();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
printf 'h\303\244llo\n' >f; rev f; rev <f >g; cat g; rev <f | rev
