# Two and four sqlite3 processes write one database, in rollback and WAL mode: no lost row, integrity kept.
# needs: sqlite3
for mode in delete wal; do
    sqlite3 $mode.db "PRAGMA journal_mode=$mode; CREATE TABLE t(who, n, UNIQUE(who, n));"
    for who in 1 2 3 4; do
        (for n in $(seq 25); do echo "BEGIN IMMEDIATE; INSERT INTO t VALUES($who, $n); COMMIT;"; done | sqlite3 -cmd '.timeout 30000' -cmd 'PRAGMA synchronous=1' $mode.db 2>&1 | grep -v '^1$') &
    done
    for i in 1 2 3 4 5; do sqlite3 -cmd '.timeout 30000' $mode.db 'SELECT count(*) BETWEEN 0 AND 100 FROM t'; done
    wait
    sqlite3 $mode.db 'SELECT who, count(*), sum(n) FROM t GROUP BY who; PRAGMA integrity_check;'
done
mkfifo "$OUT/go"
ln -s "$OUT/go" go
(echo "BEGIN; SELECT count(*) FROM t;"; cat go; echo "SELECT count(*) FROM t; COMMIT; SELECT count(*) FROM t;") | sqlite3 wal.db >reader &
while [ ! -s reader ]; do sleep 0.02; [ $((i++)) -gt 100 ] && break; done
sqlite3 wal.db "INSERT INTO t VALUES(9, 9); SELECT 'written beside the reader';"
echo >go
wait
cat reader
sqlite3 delete.db <go & victim=$!
exec 7>go
echo "BEGIN EXCLUSIVE; INSERT INTO t VALUES(8, 8); SELECT writefile('begun', 'x');" >&7
while [ ! -s begun ]; do sleep 0.02; [ $((j++)) -gt 200 ] && break; done
sqlite3 delete.db 'SELECT 1 FROM t LIMIT 1' 2>&1 | sed 's/.*: //; s/ (.*//'
{ kill -9 $victim; wait $victim; } 2>/dev/null
exec 7>&-
sqlite3 -cmd '.timeout 5000' delete.db 'PRAGMA integrity_check; SELECT count(*) FROM t WHERE who = 8;'
rm -f *.db* go
