# rsync copies, updates, deletes and links trees within FLAC and across its border.
# needs: rsync
mkdir -p s/d
seq 5000 >s/n
echo x >s/d/x
ln -s n s/l
ln s/n s/hard
chmod 640 s/n
find s -exec touch -h -d '2001-02-03 04:05:06' {} +
rsync -a s/ t
diff -r --no-dereference s t 2>&1
rsync -aH --stats s/ h | grep -E 'Number of (files|created)'
stat -c %h h/n
rsync -ai s/ t
echo more >>s/d/x
rsync -ai s/ t
rm s/l
rsync -a --delete -i s/ t
rsync -a --checksum -i s/ t
touch s/n
rsync -ai s/ t
rsync -an -i --delete s/d/ t
seq 200000 >s/big
rsync -a s/ t
sed -i 's/^100000$/changed/' s/big
rsync -a --no-whole-file --inplace s/ t
cmp s/big t/big && echo delta
sed -i 's/^5$/five/' s/big
rsync -a --no-whole-file s/ t
cmp s/big t/big && echo delta2
truncate -s 5M s/sp
rsync -aS s/sp t/
cmp s/sp t/sp && echo sparse
rsync -a --backup --suffix=.o s/ t
rsync -a --link-dest=../t s/ ld
stat -c %h ld/n
rsync -a s/ "$OUT/s"
rsync -a "$OUT/s/" back
diff -r --no-dereference s back 2>&1
rsync -a --remove-source-files back/ moved
find back -type f
rsync -a --exclude='*.o' --include='*/' --partial --append s/ t
rsync -a --temp-dir="$TMPDIR" s/d t2
ls t2
rsync missing x 2>/dev/null
echo $?
rsync -a --numeric-ids --chmod=F600 s/n c
stat -c %a c
find t | sort
rsync -a --delay-updates s/ du
diff -r s du 2>&1
ls -A "$TMPDIR"
rsync --list-only s/d/ | wc -l
