# gcc compiles, links and the result runs, with sources, objects, libraries and temporaries in FLAC.
# needs: gcc ar
cp "$LIB"/twice/* .
gcc -Wall -O2 -c lib.c main.c
gcc -o prog main.o lib.o
./prog out
echo $?
./prog out extra
echo $?
wc out
./prog no/such
gcc -pipe -save-temps -o prog2 main.c lib.c && ls | sort
./prog2 out2 && cmp out out2 && echo same
ar rcs libl.a lib.o && ar t libl.a && gcc -o prog3 main.c -L. -ll && ./prog3 out3
gcc -E main.c | grep -c twice
gcc -S -o - lib.c | grep -c twice
gcc -MM main.c
gcc -M main.c | grep -c lib.h
echo 'int main(void) { return 7; }' | gcc -xc - -o seven
./seven
echo $?
echo 'int broken(' >bad.c
gcc -c bad.c 2>/dev/null
echo $?
ls bad.o
nm lib.o | grep twice | cut -c18-
objdump -d lib.o | grep -c 'ret'
strip prog && ./prog out5
objcopy --only-section=.text lib.o text.o && size lib.o | wc -l
readelf -h prog | grep -c ELF
file lib.c prog 2>/dev/null | cut -c1-30
gcc -g -o dbg main.c lib.c && ./dbg out6
g++ --version >/dev/null 2>&1 && cat >x.cc <<'END'
#include <fstream>
#include <iostream>
#include <string>
int main() {
    std::ofstream("cc.txt") << "from C++ " << 42 << "\n";
    std::fstream f("cc.txt", std::ios::in | std::ios::out | std::ios::ate);
    f << "appended\n"; f.seekp(5); f << "FROM"; f.seekg(0);
    for (std::string line; std::getline(f, line);) std::cout << line << "\n";
    std::ifstream none("absent");
    std::cout << none.is_open() << std::endl;
}
END
[ -f x.cc ] && g++ -o x x.cc && ./x
ls "$TMPDIR"
rm -f *.o *.so *.a prog* dbg dl x seven *.s *.i
