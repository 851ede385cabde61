# Valgrind warns of system calls that it does not know, and of descriptors that can't be: it says nothing more than on a kernel file system, whatever the program asks for
# needs: valgrind
mkdir d
ln -s d l
echo x >d/f
say() { TMPDIR=/tmp valgrind --leak-check=no "$@" 2>&1 | grep -E '^--|nvalid|FATAL' | sed 's/[0-9]\{3,\}/N/g'; }
say cat l/f
say cat l/nothing d/nothing /nothing/at/all
say ls -l /nothing
