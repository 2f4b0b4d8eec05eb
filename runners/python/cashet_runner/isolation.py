"""A call in a child of the warm runner. What it did comes back through a pipe: four bytes of size, and that
many bytes; a child that ends without them was killed, or ended itself."""

import os
import select

from .channel import SIZE, keep

LOST = 72  # the call closed the pipe
ONE_READ = 1 << 20


def run(work):
    """Calls @work in a child. Return: (the bytes that it returned or None, its wait status, cpu in ns)."""
    out, low = os.pipe2(os.O_CLOEXEC)
    into = keep(low)
    os.close(low)
    try:
        child = os.fork()
    except OSError:
        os.close(out)
        os.close(into)
        raise
    if not child:
        status = 70
        try:
            os.close(out)
            own = os.getpid()
            data = work()
            if os.getpid() != own:
                os._exit(0)  # a copy that the call made of itself
            status = LOST
            data = SIZE.pack(len(data)) + data
            while data:
                data = data[os.write(into, data):]
            status = 0
        finally:
            os._exit(status)
    os.close(into)
    try:
        data = receive(out, child)
    finally:
        os.close(out)
    _, status, usage = os.wait4(child, 0)
    return data, status, int((usage.ru_utime + usage.ru_stime) * 1e9)


def receive(out, child):
    """What comes whole through @out, while @child lives; others may hold the pipe for longer."""
    ended = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(out, select.POLLIN)
        poll.register(ended, select.POLLIN)
        chunks, have, need = [], 0, 4
        while have < need:
            ready = dict(poll.poll())
            if out not in ready:
                return None
            chunk = os.read(out, ONE_READ)
            if not chunk:
                return None
            chunks.append(chunk)
            have += len(chunk)
            if need == 4 and have >= 4:
                chunks = [b"".join(chunks)]
                need = 4 + SIZE.unpack_from(chunks[0])[0]
        return b"".join(chunks)[4:]
    finally:
        os.close(ended)
