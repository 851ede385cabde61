# make follows times of change, runs in parallel, includes generated files and removes half-made targets.
# needs: make gcc
cat >Makefile <<'END'
OBJS = a.o b.o c.o
all: prog list.txt
prog: $(OBJS)
	gcc -o $@ $^
%.o: %.c common.h
	gcc -c -o $@ $<
	@echo built $@
list.txt: $(wildcard *.c)
	ls $^ >$@
dir/%.out: %.in | dir
	tr a-z A-Z <$< >$@
dir:
	mkdir $@
broken.txt:
	echo half >$@; false
.DELETE_ON_ERROR:
.PHONY: clean all
clean:
	rm -rf prog *.o list.txt dir
-include generated.mk
generated.mk: common.h
	echo 'GEN = yes' >$@
show:
	@echo GEN=$(GEN) $(shell cat common.h | wc -l)
END
echo '#define N 1' >common.h
echo 'int b(void), c(void); int main(void) { return b() + c(); }' >a.c
printf '#include "common.h"\nint b(void) { return N; }\n' >b.c
printf '#include "common.h"\nint c(void) { return N; }\n' >c.c
echo text >x.in
make
./prog
echo $?
make
sleep 0.02
touch b.c
make
echo '#define N 5' >common.h
make -j2 | sort
./prog
echo $?
make dir/x.out && cat dir/x.out
make dir/x.out
make broken.txt 2>/dev/null
echo $?
ls broken.txt
make show
touch -d 2001-01-01 c.c
make
touch -d '+1 hour' c.o
make -n
rm b.o
make -q
echo $?
make -t
make -d nothing >/dev/null 2>&1
echo $?
mkdir sub
printf 'all:\n\t@echo in sub; pwd >where; echo $(CURDIR) >>where\n' >sub/Makefile
make -C sub --no-print-directory
uniq sub/where | wc -l
make clean
printf 'T = $(addsuffix .t,$(shell seq 60))\nall: $(T)\n\tcat $(T) | sort -n | tail -1\n%%.t:\n\t@echo $* >$@\n' >many.mk
make -j8 -f many.mk
make -f many.mk
ls | sort
rm -f *.t
