# The sqlite3 shell: rollback journals, WAL, vacuum, attach, backup, and integrity after each.
# needs: sqlite3
for mode in delete truncate persist wal memory off; do
    echo "== $mode"
    sqlite3 $mode.db "PRAGMA journal_mode=$mode; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);"
    sqlite3 $mode.db "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<20000) INSERT INTO t SELECT x, 'row '||(x*7919%20011) FROM c;"
    sqlite3 $mode.db "CREATE INDEX i ON t(b); DELETE FROM t WHERE a%7=0; UPDATE t SET b=b||'!' WHERE a%5=0;"
    [ $mode = off ] || sqlite3 $mode.db "BEGIN; DELETE FROM t; ROLLBACK;"
    sqlite3 $mode.db "SELECT count(*), sum(a), max(b) FROM t; PRAGMA integrity_check;"
    sqlite3 $mode.db "VACUUM; PRAGMA integrity_check; SELECT count(*) FROM t WHERE b LIKE 'row 1%';"
    sqlite3 $mode.db ".backup $mode.bak" ".dump" | sha256sum
    sqlite3 $mode.bak "PRAGMA integrity_check; SELECT count(*) FROM t;"
    ls $mode* | sort
done
sqlite3 a.db "ATTACH 'b.db' AS b; CREATE TABLE main.x(i); CREATE TABLE b.y(i); BEGIN; INSERT INTO x VALUES(1); INSERT INTO y VALUES(2); COMMIT;"
sqlite3 b.db 'SELECT * FROM y'
printf 'k,v\n1,one\n2,two\n' >in.csv
sqlite3 a.db '.mode csv' '.import in.csv csv' '.output out.csv' 'SELECT * FROM csv ORDER BY k DESC;' '.output stdout' '.tables'
cat out.csv
echo 'SELECT 1+1; .read' | sqlite3 a.db 2>&1 | head -2
echo 'SELECT writefile("blob", zeroblob(100000)), length(readfile("in.csv"));' >q.sql
sqlite3 a.db <q.sql
sqlite3 a.db '.read q.sql'
sqlite3 delete.db "PRAGMA page_size=65536; VACUUM; PRAGMA mmap_size=100000000; SELECT sum(length(b)) FROM t; PRAGMA integrity_check;"
sqlite3 -readonly delete.db 'DELETE FROM t' 2>&1 | sed 's/.*: //'
chmod 444 truncate.db
sqlite3 /no/such/dir.db 'CREATE TABLE t(a)' 2>&1 | sed 's/.*: //'
head -c 5000 delete.db >broken.db
sqlite3 broken.db 'SELECT count(*) FROM t' 2>&1 | sed 's/.*: //'
sqlite3 tmp.db "PRAGMA temp_store=1; PRAGMA cache_size=10; CREATE TABLE t AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<50000) SELECT x*7919%50021 AS v FROM c; SELECT v FROM t ORDER BY v DESC LIMIT 2; SELECT count(DISTINCT v) FROM t;"
ls "$TMPDIR"
rm -f *.db *.bak
