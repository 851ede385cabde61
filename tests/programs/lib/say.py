# What the python cases share: a line of output for the result or the error of a call.
import errno, os, sys


def error(exception):
    if isinstance(exception, OSError) and exception.errno is not None:
        return errno.errorcode.get(exception.errno, str(exception.errno))
    return type(exception).__name__


def say(title, call, *args, **kwargs):
    """Prints what `call` returned, or the name of its error."""
    try:
        result = call(*args, **kwargs)
    except Exception as exception:
        result = "!" + error(exception)
    print(title, result, flush=True)
    return result


def data(length, seed=1):
    """Bytes without a period, the same every time."""
    out = bytearray()
    x = seed
    while len(out) < length:
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out += (x >> 16).to_bytes(6, "little") * 7 + bytes([len(out) % 251])
    return bytes(out[:length])


def put(path, content):
    with open(path, "wb") as file:
        file.write(content)


def get(path):
    with open(path, "rb") as file:
        return file.read()
