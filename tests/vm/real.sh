# Programs of the distribution at work in /flac/real, under the preload library: sqlite3 with both kinds of journal, and a file replaced by rename.
#
#     real.sh setup | check | work RECORD
#
# Each acknowledged change is a line "K what number" in RECORD; `check` says on the console what is there.
dir=/flac/real
lines=5000
sql() { sqlite3 -batch -bail "$dir/$1.db" ".timeout 5000" "$2"; }

setup() {
    mkdir $dir
    for journal in delete wal; do
        sql $journal "pragma journal_mode=$journal; create table t (n integer primary key, v text);" || return
    done
    seq 0 $lines >$dir/data
}

check() {
    local journal first answer
    for journal in delete wal; do
        answer=$(sql $journal "select coalesce(max(n), 0), count(*), coalesce(sum(v <> printf('%0500d', n)), 0) from t; pragma integrity_check;") || return
        echo "VM: real $journal" ${answer//|/ }
    done
    read -r first <$dir/data || return
    seq "$first" $((first + lines)) | cmp - $dir/data || return
    echo "VM: real data $first"
}

work() {
    local n journal
    n=$(sql delete "select max(coalesce(max(n), 0), $(sql wal 'select coalesce(max(n), 0) from t'), $(head -n1 $dir/data)) from t") || return
    # From here on the numbers of the three go together.
    sql delete "insert or ignore into t with recursive c(n) as (select 1 union all select n + 1 from c where n < $n) select n, printf('%0500d', n) from c where $n > 0" || return
    sql wal "insert or ignore into t with recursive c(n) as (select 1 union all select n + 1 from c where n < $n) select n, printf('%0500d', n) from c where $n > 0" || return
    while :; do
        n=$((n + 1))
        for journal in delete wal; do
            sql $journal "insert into t values ($n, printf('%0500d', $n))" || return
            worker note "$1" "K $journal $n"
        done
        seq $n $((n + lines)) >$dir/new && sync $dir/new && mv $dir/new $dir/data && sync $dir || return
        worker note "$1" "K data $n"
    done
}

"$@"
