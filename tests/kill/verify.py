# Compares the tree that the workers left with what they wrote down.
#
#     verify.py setup|mark|kernel|kill|reboot ROOT RECORDS
#
# Each file can be in one of a few states: what was acknowledged, and where a worker died in the middle of a change, with
# that change or without it. After `kill` an overwrite may be half done, too; after `reboot` every file has its old or its
# new content. On the kernel's own file systems (`kernel`) an append, too, may end at a page boundary. On success the records are replaced by the state found, so that the next round
# starts from there.
import json, os, sys

LENGTH = 24 * 4096 + 100
MASK = 2**64 - 1
WORKERS = range(3)


def mix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def letters(number, length):
    eight = bytes(ord("a") + (mix(number) >> (at * 8) & 15) for at in range(8))
    return (eight * (length // 8 + 1))[:length]


def record(worker, number):
    length = 1 + mix((number + 77) & MASK) % 3900
    return b"%d:%d:%d:" % (worker, number, length) + letters(number, length) + b"\n"


class Wrong(Exception):
    pass


# A state is None (absent), ["records", n...], ["whole", n], ["dir"], ["at", place], or ["mixed", old state, n].
def apply(state, op, number):
    """The state after a finished change."""
    if op == "append":
        return (state or ["records"]) + [number]
    if op in ("overwrite", "replace"):
        return ["whole", number]
    return {"mkdir": ["dir"], "away": ["at", "shared"], "home": ["at", "own"]}.get(op)


def unfinished(state, op, number, mode):
    """The further states that a change leaves when its worker dies in the middle."""
    states = []
    if op == "append" and state is None:
        states.append(["records"])
    if op == "append" and mode == "kernel":
        states.append(["torn", state or ["records"], number])
    if op == "overwrite" and (state is None or mode != "reboot"):
        states.append(["mixed", state, number] if mode != "reboot" else ["records"])
    return states


def possible(lines, mode):
    """For each name the states it may be in."""
    names, pending, last = {}, None, 0
    for line in lines:
        kind, rest = line.split(" ", 1)
        if kind == "=":
            name, state = json.loads(rest)
            names[name] = [state]
            continue
        if kind == "N":
            last = max(last, int(rest))
            continue
        op, name, number = rest.split(" ")
        number = int(number)
        last = max(last, number)
        if op == "log":
            names.setdefault("log", []).append((number, kind == "K"))
            continue
        states = names.setdefault(name, [None])
        if kind == "I":
            pending = (name, op, number)
        elif pending != (name, op, number):
            raise Wrong("acknowledged without intent: " + line)
        else:
            names[name], pending = unique(apply(state, op, number) for state in states), None
    if pending:
        name, op, number = pending
        for state in list(names[name]):
            names[name] += [apply(state, op, number)] + unfinished(state, op, number, mode)
    return names, last


def unique(states):
    out = []
    for state in states:
        if state not in out:
            out.append(state)
    return out


def content(path):
    try:
        if os.path.isdir(path):
            return "dir"
        with open(path, "rb") as file:
            found = file.read()
    except FileNotFoundError:
        return None
    if len(found) != os.stat(path).st_size:
        raise Wrong("%s: %d bytes read, size %d" % (path, len(found), os.stat(path).st_size))
    return found


def bytes_of(state, worker):
    if state is None or state[0] == "records":
        return b"".join(record(worker, number) for number in (state or ["records"])[1:])
    return letters(state[1], LENGTH)


def matches(found, state, worker):
    """Whether a file with this content can be in this state."""
    if state is None or found is None:
        return state is None and found is None
    if state[0] == "dir" or found == "dir":
        return state[0] == "dir" and found == "dir"
    if state[0] == "torn":
        whole, added = bytes_of(state[1], worker), record(worker, state[2])
        return len(found) % 4096 == 0 and len(found) > len(whole) and (whole + added).startswith(found)
    if state[0] != "mixed":
        return found == bytes_of(state, worker)
    if state[1] and state[1][0] == "mixed":
        # Mixed twice: what lies under the first mix is any of them; only the lengths and letters are checked.
        return len(found) <= LENGTH and found.translate(None, b"abcdefghijklmnop") == b""
    old, new = bytes_of(state[1], worker), letters(state[2], LENGTH)
    if len(found) != LENGTH and (old or len(found) > LENGTH):
        return False
    return all(byte == new[at] or at < len(old) and byte == old[at] for at, byte in enumerate(found))


def check_own(root, worker, names):
    """Finds the state of each name of one worker."""
    own = "%s/w%d" % (root, worker)
    result = {}
    for name, states in names.items():
        if name == "log":
            continue
        if name == "m":
            places = [p for p, path in (("own", own + "/m"), ("shared", "%s/shared/m%d" % (root, worker))) if os.path.exists(path)]
            if len(places) != 1 or ["at", places[0]] not in states:
                raise Wrong("worker %d: the moved file is in %s, not in one of %s" % (worker, places, states))
            result[name] = ["at", places[0]]
            continue
        found = content(own + "/" + name)
        fitting = [state for state in states if matches(found, state, worker)]
        if not fitting:
            raise Wrong("worker %d: %s is %s, in none of the states %s" % (worker, name, describe(found), short(states)))
        result[name] = fitting[0]
        if result[name] and result[name][0] == "torn":
            result[name] = result[name][1]
            os.truncate(own + "/" + name, len(bytes_of(result[name], worker)))
    unknown = set(os.listdir(own)) - {name for name, state in result.items() if state} - {"tmp", "m"}
    if unknown:
        raise Wrong("worker %d: never made: %s" % (worker, sorted(unknown)))
    return result


def describe(found):
    if found is None or found == "dir":
        return "absent" if found is None else "a directory"
    return "%d bytes, %r ... %r" % (len(found), found[:30], found[-30:])


def short(states):
    text = str(states)
    return text if len(text) < 600 else text[:300] + " ... " + text[-300:]


def torn_ends(dying):
    """What an append that ended at a page boundary may have left before the next record, the longest first."""
    return (whole[:length] for whole in dying for length in range(len(whole) - 1, 0, -1))


def check_log(root, all_names, mode):
    """Every acknowledged record is in the shared log, once and whole, and nothing that nobody began."""
    found = content(root + "/shared/log") or b""
    begun, sure, dying = {}, set(), []
    for worker, names in all_names.items():
        for number, acknowledged in names.get("log", []):
            begun[record(worker, number)] = (worker, number)
            if acknowledged:
                sure.add((worker, number))
            else:
                dying.append(record(worker, number))
    seen = []
    for line in found.splitlines(keepends=True):
        if mode == "kernel" and line not in begun:
            line = next((line[len(part) :] for part in torn_ends(dying) if line.startswith(part)), line)
        if mode == "kernel" and any(whole.startswith(line) for whole in dying) and line not in begun:
            continue
        if line not in begun:
            raise Wrong("shared log: torn or never written: %r" % line[:80])
        seen.append(begun[line])
    if len(seen) != len(set(seen)):
        raise Wrong("shared log: a record twice")
    if sure - set(seen):
        raise Wrong("shared log: acknowledged records missing: %s" % sorted(sure - set(seen))[:5])
    if any([n for w, n in seen if w == worker] != sorted(n for w, n in seen if w == worker) for worker in all_names):
        raise Wrong("shared log: records out of order")


def setup(root, records):
    os.mkdir(root + "/shared")
    for worker in WORKERS:
        os.mkdir("%s/w%d" % (root, worker))
        with open("%s/w%d/m" % (root, worker), "w") as file:
            os.fsync(file.fileno())
        with open("%s/%d" % (records, worker), "w") as file:
            file.write('= ["m", ["at", "own"]]\n')


def mark(root):
    """Writes what nobody syncs, so that it can be seen whether memory was really lost."""
    with open(root + "/shared/volatile", "wb") as file:
        file.write(b"v" * 300_000)


def check_mark(root):
    if content(root + "/shared/volatile"):
        raise Wrong("what nobody had synced survived: the memory was not lost, and the test proves nothing")
    if os.path.exists(root + "/shared/volatile"):
        os.unlink(root + "/shared/volatile")


def main():
    mode, root, records = sys.argv[1:]
    if mode == "setup":
        return setup(root, records)
    if mode == "mark":
        return mark(root)
    if mode == "reboot":
        check_mark(root)
    all_names, last, count = {}, {}, 0
    for worker in WORKERS:
        with open("%s/%d" % (records, worker)) as file:
            lines = file.read().splitlines()
        count += sum(line[0] == "K" for line in lines)
        all_names[worker], last[worker] = possible(lines, mode)
    results = {worker: check_own(root, worker, names) for worker, names in all_names.items()}
    check_log(root, all_names, mode)
    if os.path.exists(root + "/shared/log"):
        os.unlink(root + "/shared/log")
    # What was found may be there in memory only, where a worker died before its fsync: from here on it must stay.
    for folder in ["shared"] + ["w%d" % worker for worker in WORKERS]:
        for path in [root + "/" + folder] + [entry.path for entry in os.scandir(root + "/" + folder) if entry.is_file()]:
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
    for worker, result in results.items():
        with open("%s/%d" % (records, worker), "w") as file:
            file.write("N %d\n" % last[worker])
            file.writelines("= %s\n" % json.dumps(item) for item in result.items())
    print("%d acknowledged changes are there" % count)


try:
    main()
except Wrong as wrong:
    print("WRONG:", wrong)
    sys.exit(1)
