# Prints every file under $ROOT and $OUT: type, mode, links, size, time of change, and what it contains.
# The time is printed only where it is older than the case, that is, where the case has set it.
import fnmatch, hashlib, os, stat

start = int(os.environ["CASE_START"]) - 2
skip = os.environ["DIGEST_SKIP"].split()
ROOT, OUT = os.environb[b"ROOT"], os.environb[b"OUT"]
PIECE = 16 << 20
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


def content(path, size):
    digest, total = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(PIECE):
            # Both runs have roots of the same length: files may name them.
            digest.update(chunk.replace(ROOT, b"$ROOT").replace(OUT, b"$OUT"))
            total += len(chunk)
    if total != size:
        return "%s (READ %d BYTES OF %d)" % (digest.hexdigest()[:16], total, size)
    return digest.hexdigest()[:16]


def show(path, name):
    st = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(st.st_mode), "other")
    ignored = any(fnmatch.fnmatch(name, pattern) for pattern in skip)
    time = "now" if st.st_mtime_ns >= start * 10**9 or ignored else "%d.%09d" % divmod(st.st_mtime_ns, 10**9)
    line = "%s %s %04o links=%d %s" % (name, kind, stat.S_IMODE(st.st_mode), st.st_nlink, time)
    if kind == "link":
        line += " -> %s size=%d" % (os.readlink(path), st.st_size)
    elif kind == "file" and not ignored:
        try:
            line += " size=%d %s" % (st.st_size, content(path, st.st_size))
        except PermissionError:
            line += " size=%d (not readable)" % st.st_size
    print(line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    return kind == "dir"


def walk(path, name):
    if not show(path, name):
        return
    try:
        names = sorted(os.listdir(path))
    except PermissionError:
        print(name, "(not listable)")
        return
    for entry in names:
        walk(os.path.join(path, entry), name + "/" + entry)


walk(os.environ["ROOT"] + "/case", "case")
for other in "home", "tmp":
    if os.path.isdir(os.environ["ROOT"] + "/" + other):
        walk(os.environ["ROOT"] + "/" + other, other)
walk(os.environ["OUT"], "out")
