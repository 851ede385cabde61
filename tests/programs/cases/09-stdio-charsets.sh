# Streams whose wide characters are in a character set of their own (`,ccs=`): what libc does with them, and no more.
# needs: gcc
cat >t.c <<'END'
#include "calls.h"
// Writes and reads two lines, and says what came of it.
static void both(const char *charset)
{
    char mode[50];
    wchar_t b[50];
    wint_t c;

    snprintf(mode, sizeof mode, "w,ccs=%s", charset);
    FILE *f = fopen("f", mode);

    if (!f) {
        printf("%s: %s\n", charset, strerror(errno));
        return;
    }
    printf("%s %d", charset, fwide(f, 0));
    errno = 0;
    printf(" %d", fputws(L"h\u00e4llo\n", f));
    printf(" %d", fwprintf(f, L"%d %ls\n", 5, L"w\u00fc"));
    printf(" %x", fputwc(L'\u20ac', f));
    printf(" %x", fputwc(L'\u4e2d', f));
    printf(" close %d", fclose(f));
    printf(" errno %d\n", errno);
    show("f");
    snprintf(mode, sizeof mode, "r,ccs=%s", charset);
    f = fopen("f", mode);
    b[0] = 0;
    printf("%d", fgetws(b, 50, f) != 0);
    for (wchar_t *w = b; *w; w++)
        printf(" %x", *w);
    c = fgetwc(f);
    printf(" %x %ld", c, ftell(f));
    printf(" %x", ungetwc(c, f));
    printf(" %x", ungetwc(L'u', f));
    while ((c = fgetwc(f)) != WEOF)
        printf(" %x", c);
    printf(" eof %d err %d\n", feof(f) != 0, ferror(f) != 0);
    rewind(f);
    printf("%x", fgetwc(f));
    printf(" %x\n", fgetwc(f));
    fclose(f);
}

static void scan(void)
{
    FILE *f = fopen("s", "w,ccs=UTF-16LE");
    wchar_t b[20];
    int n = 0;

    fputws(L"12 \u00e4b rest", f);
    fclose(f);
    show("s");
    f = fopen("s", "r,ccs=UTF-16LE");
    printf("%d", fwscanf(f, L"%d %19ls", &n, b));
    printf(" %d %x %x", n, b[0], b[1]);
    printf(" %x", fgetwc(f));
    printf(" %x\n", fgetwc(f));
    fclose(f);
}

static void reopened(void)
{
    FILE *f = fopen("r", "w");

    fputs("\344\n", f);
    f = freopen("r", "r,ccs=ISO-8859-1", f);
    printf("freopen %d", f ? fwide(f, 0) : -9);
    printf(" %x\n", fgetwc(f));
    f = freopen("r", "r", f);
    printf("back %d", fwide(f, 0));
    printf(" %x\n", fgetc(f));
    errno = 0;
    f = freopen("r", "r,ccs=NO-SUCH", f);
    printf("none %d %d\n", f != 0, errno);
    // The standard streams have libc's own conversion.
    freopen("/dev/null", "r", stdin);
    printf("stdin %d", getwchar() == WEOF);
    for (int i = 0; i < 3; i++) {
        freopen("s", i == 1 ? "r,ccs=UTF-16LE" : "r", stdin);
        printf(" %x", getwchar());
        freopen("/dev/zero", "r", stdin);
        printf(" %x", getwchar());
    }
    freopen("s", "r", stdin);
    printf(" %x\n", getchar());
    f = fopen("r", "r+");
    FILE *g = fdopen(fileno(f), "r,ccs=ISO-8859-1");
    printf("fdopen %d\n", fwide(g, 0));
    fclose(f);
}

// What these bytes are, to their end.
static void all(const char *charset, const char *bytes, size_t n)
{
    char mode[50];
    FILE *f = fopen("x", "w");
    wint_t c;

    fwrite(bytes, 1, n, f);
    fclose(f);
    snprintf(mode, sizeof mode, "r,ccs=%s", charset);
    f = fopen("x", mode);
    errno = 0;
    printf("%s:", charset);
    while ((c = fgetwc(f)) != WEOF)
        printf(" %x", c);
    printf(" eof %d err %d errno %d\n", feof(f) != 0, ferror(f) != 0, errno);
    fclose(f);
}
#define ALL(charset, bytes) all(charset, bytes, sizeof bytes - 1)

static void odd(void)
{
    ALL("UTF-16LE", "a\0b");
    ALL("UTF-8", "a\xff""b");
    ALL("UTF-8", "a\xe2\x82");
    ALL("ISO-2022-JP", "a\x1b$B0!\x1b(Bb");
    ALL("UTF-7", "a+IKw-b");
    ALL("BIG5-HKSCS", "a\x88\x62\x88\x66""b");
    ALL("UTF-16", "\xff\xfe""a\0");
    ALL("UTF-16", "\xfe\xff\0a");
    ALL("EUC-JISX0213", "a\xa4\xf7""b\xa4\xab");
    wchar_t b[20];
    FILE *f = fopen("y", "w,ccs=UTF-16BE");

    fputws(L"one\ntwo\n", f);
    fclose(f);
    f = fopen("y", "r+,ccs=UTF-16BE");
    fgetws(b, 20, f);
    printf("%ls%ld\n", b, ftell(f));
    fseek(f, 8, SEEK_SET);
    fgetws(b, 20, f);
    printf("%ls", b);
    fclose(f);
    f = fopen("y", "a,ccs=UTF-8");
    fputws(L"\u20ac", f);
    printf("%ld\n", ftell(f));
    fclose(f);
    show("y");
    printf("%d %d\n", fopen("new", "w,ccs=NO-SUCH") != 0, access("new", F_OK));
    f = fopen("big", "w,ccs=UTF-16LE");
    for (int i = 0; i < 100000; i++)
        fputwc(i % 50000 + 1, f);
    printf("%d\n", fclose(f));
    f = fopen("big", "r,ccs=UTF-16LE");
    long sum = 0, n = 0;

    for (wint_t c; (c = fgetwc(f)) != WEOF; n++)
        sum += c;
    printf("%ld %ld\n", n, sum);
}

int main(void)
{
    static const char *const sets[] = { "UTF-16LE", "UTF-16BE", "ISO-8859-1", "latin1", "UTF-8", "UTF-32BE", "EUC-JP", "UTF-16", "UTF-32", "UCS-2", "NO-SUCH", "", "utf-16le,x" };

    setvbuf(stdout, NULL, _IOLBF, 0);
    setlocale(LC_ALL, "C.UTF-8");
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        both(sets[i]);
    show("f");
    scan();
    reopened();
    odd();
    return 0;
}
END
gcc -O1 -w -I"$LIB" -o t t.c 2>gcc.err || { cat gcc.err; exit 99; }
rm -f gcc.err
./t
