"""What a Python process does to be a snapshot: it forks for each environment that is to start from it (docs/architecture/engine.md)."""

import fcntl
import gc
import os
import shutil
import socket
import stat
import sys

FRAMES = 3  # the descriptor
TEMPORARY = "/tmp/croft-"  # and the number of the process whose folder it is


class Unfit(Exception):
    """Why a process cannot be forked soundly."""


def check_fit():
    """A snapshot's copies must not lack, or share, anything that its initialisation has made."""
    threads = len(os.listdir("/proc/self/task")) - 1
    if threads:
        raise Unfit("its initialisation has left %d thread(s) running" % threads)
    with open("/proc/self/task/%d/children" % os.getpid()) as f:
        if f.read().split():
            raise Unfit("its initialisation has left processes running")
    for fd, mode in descriptors():
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)):
            raise Unfit("its initialisation has left %s open" % os.readlink("/proc/self/fd/%d" % fd))


def descriptors():
    """Returns what is open besides the frames and what lies below them, with its kind."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > FRAMES:
                found.append((int(name), os.fstat(int(name)).st_mode))
        except OSError:
            pass  # that of the list itself
    return found


def copies(server, flush, dumps):
    """The process is a snapshot from here on: it forks for each fork frame, and returns in the child, whose own frames are on their descriptor."""
    gc.collect()
    gc.freeze()  # or every collection in a child copies what it looks at
    while True:
        fds = server.forked()
        flush()
        remove_folders()
        pid = os.fork()
        if pid:
            for fd in fds:
                os.close(fd)
            os.waitpid(pid, 0)
            continue
        if os.fork():
            os._exit(0)  # the first process of the sandbox takes the child over
        os.setsid()
        while os.getppid() != 1:
            os.sched_yield()
        reply, output, frames = fds
        os.write(reply, dumps({"pid": os.getpid()}).encode())
        server.socket.detach()
        for fd, place in ((output, 1), (output, 2), (frames, FRAMES)):
            os.dup2(fd, place)
        for fd in fds:
            os.close(fd)
        return


def remove_folders():
    """Removes the temporary folders of copies that have ended."""
    for name in os.listdir("/tmp"):
        folder = "/tmp/" + name
        if folder.startswith(TEMPORARY) and not os.path.exists("/proc/" + folder[len(TEMPORARY):]):
            shutil.rmtree(folder, ignore_errors=True)


def own_descriptors():
    """Gives a copy files with positions of their own, and in place of connections, of which there is but one, sockets that are not connected."""
    for fd, mode in descriptors():
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if stat.S_ISSOCK(mode):
            with socket.socket(fileno=os.dup(fd)) as old:
                new = socket.socket(old.family, old.type, old.proto).detach()
            fcntl.fcntl(new, fcntl.F_SETFL, flags)
        elif stat.S_ISREG(mode):
            new = os.open("/proc/self/fd/%d" % fd, flags)
            os.lseek(new, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
        else:
            continue
        os.dup2(new, fd, os.get_inheritable(fd))
        os.close(new)


def own_folder():
    """Gives a copy a folder of its own for temporary files."""
    folder = TEMPORARY + str(os.getpid())
    os.mkdir(folder, 0o700)
    os.environ.setdefault("TMPDIR", folder)
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].tempdir = None  # which it looks for once
