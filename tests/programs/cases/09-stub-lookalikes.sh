# Files elsewhere whose paths look like those of FLAC's own stubs are what they are, for programs that have not touched FLAC yet.
for dir in flac-x/w flac-suites/w/deep flac-0123456789abcdef0123456789abcdef/w flac-0123456789abcdef0123456789abcdef; do
    mkdir -p "$OUT/$dir"
    for name in log stub; do
        (
            cd "$OUT/$dir" || exit
            env bash -c 'echo one >>'$name' 2>&1; echo two >>'$name'; echo three 3>>'$name' >&3; cat '$name' nothing >>'$name' 2>&1; exec 4>>'$name' 5>&4; echo four >&5' 2>&1
            grep -c . $name
            head -3 $name
        )
    done
    rm -r "$OUT/${dir%%/*}"
done
