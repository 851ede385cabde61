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

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    wide();
    orientation();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
printf 'h\303\244llo\n' >f; rev f; rev <f >g; cat g; rev <f | rev
