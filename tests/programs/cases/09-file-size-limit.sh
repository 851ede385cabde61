# A limit on the size of files, set before a program has to do with FLAC at all, is one on the program's own files.
mkdir d
for n in 0 1 64; do
    (
        ulimit -S -f $n
        cd d || exit
        seq 300 | sed "s/^/$n./" | xargs touch
        sync 1 2>/dev/null || sync $n.1
        echo "$n: $(ls | wc -l) names, limit $(ulimit -S -f)"
        head -c 1000 /dev/zero >$n.small
        echo $?
        sync $n.small && wc -c $n.small
        dd if=/dev/zero of=$n.large bs=1000 count=100 conv=fsync status=none 2>/dev/null
        [ $? -gt 128 ] && echo killed
        wc -c $n.large
        ln -s x $n.link && mv $n.1 $n.moved && rm $n.2 && sync . && echo "names changed"
    ) 2>/dev/null
done
cp "$(command -v true)" own-true
(ulimit -S -f 1; ./own-true && echo executed)
(ulimit -S -f 0; cat own-true /proc/self/mounts | grep -a -c "no such device"; echo "${PIPESTATUS[0]}")
# Programs that write much at once, to memory of the cache that nobody has used yet.
seq 500000 >source
for size in 4k 60k 1M; do
    (
        ulimit -S -f 4000
        dd if=source of=copy.$size bs=$size conv=fsync status=none && cp source cp.$size && cat copy.$size >cat.$size
        cmp source copy.$size && cmp source cp.$size && cmp source cat.$size && echo "$size: copied"
        ulimit -S -f 3000
        dd if=source of=cut.$size bs=$size status=none 2>/dev/null
        [ $? -gt 128 ] && wc -c cut.$size
    ) 2>/dev/null
done
# A hard one. (What was written may have to wait for a process that may write it.)
bash -c 'ulimit -f 64; seq 400 500 | xargs touch; sync 400; ls | wc -l; rm 4??; ls'
python3 - <<'END'
import os, resource, signal

resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
f = os.open("p", os.O_CREAT | os.O_RDWR)
for turn in range(20):
    os.pwrite(f, bytes([turn]) * 2000, 0)
    os.fsync(f)
    try:
        os.pwrite(f, b"x", 2000)
    except OSError as e:
        print(turn, e.strerror, os.fstat(f).st_size)
print(resource.getrlimit(resource.RLIMIT_FSIZE)[0], signal.sigpending())
END
