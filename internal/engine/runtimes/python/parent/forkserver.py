"""The fork server: a Python with the runtime, and unless it is told otherwise the SDK, loaded, whose children become processes of sandboxes.

Started as: python -s forkserver.py FOLDER-OF-THE-BOOTSTRAP ITS-FOLDER-IN-A-SANDBOX sdk|bare [FOLDER-OF-THE-SDK ITS-FOLDER-IN-A-SANDBOX]

Descriptor 3 is a sequenced-packet socket. It says once, in JSON, when it is ready, and then takes one sandbox.JoinSpec in each packet, with descriptors.
It has one thread, opens nothing else, and never holds anything that belongs to a function. It ends with the socket.
"""

import sys

ROOT, ROOT_INSIDE, KIND = sys.argv[1:4]
SDK, SDK_INSIDE = (sys.argv[4:6] + ["", ""])[:2]
HERE = sys.path.pop(0)  # nothing of this folder is there in a sandbox

import base64
import ctypes
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import socket
import struct
import types

CONTROL, LIMIT = 3, 256  # no descriptor is ever as high as LIMIT
MAX_PACKET, MAX_FILES = 64 << 10, 16

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x20000, 0x4000000, 0x8000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 4, 22, 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER, CAPABILITY_VERSION_3 = 4, 2, 0x20080522
EINVAL = 22

# Names that are looked for and belong to other systems, or to this program.
NOT_HERE = {"_winapi", "msvcrt", "winreg", "org", "__main__", "__mp_main__", "sdk"}

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (what, os.strerror(number)))


def prctl(option, *args):
    return libc.prctl(option, *[ctypes.c_ulong(a) for a in (tuple(args) + (0, 0, 0, 0))[:4]])


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


class Entry:
    """The way of one child into a sandbox. Every step's name is what the server hears of when it fails."""

    def __init__(self, spec, fds):
        self.spec = spec
        self.reply = fds[0]
        self.files = fds[1:]
        self.step = ""

    def answer(self, document):
        try:
            os.write(self.reply, json.dumps(document).encode())
        except OSError:
            os._exit(1)  # the server does not wait any more

    def fail(self, e):
        self.answer({"error": str(e), "step": self.step})

    def open_namespaces(self):
        # Those of the machine's other users are out of reach; these are opened before anything is given up.
        self.step = "open the namespaces"
        kinds = [("user", CLONE_NEWUSER)] if self.spec["user"] else []
        kinds += [("pid", CLONE_NEWPID), ("net", CLONE_NEWNET), ("ipc", CLONE_NEWIPC), ("uts", CLONE_NEWUTS), ("mnt", CLONE_NEWNS)]
        return [(os.open("/proc/%d/ns/%s" % (self.spec["pid"], name), os.O_RDONLY | os.O_CLOEXEC), name, kind) for name, kind in kinds]

    def enter(self):
        self.step = "enter the control groups"
        for path in self.spec.get("cgroups") or ():
            with open(path, "wb", 0) as f:
                f.write(b"0")
        self.step = "yield memory"
        with open("/proc/self/oom_score_adj", "wb", 0) as f:
            f.write(b"%d" % self.spec["oom_score"])
        for fd, name, kind in self.open_namespaces():
            self.step = "enter the %s namespace" % name
            if name != "pid" or self.spec["user"]:
                check(libc.setns(fd, kind), "setns")
            os.close(fd)
        os.chdir("/")

    def take_identity(self):
        self.step = "take the sandbox's user"
        os.setsid()  # a signal to the process group reaches whoever is in it, in other sandboxes too
        uid, gid = self.spec["uid"], self.spec["gid"]
        if self.spec["drop_groups"]:
            os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        check(prctl(PR_SET_DUMPABLE, 1), "prctl")
        self.step = "make a user namespace"
        check(libc.unshare(CLONE_NEWUSER), "unshare")
        for name, text in (
            ("setgroups", "deny"), ("uid_map", "%d %d 1" % (self.spec["map_uid"], uid)), ("gid_map", "%d %d 1" % (self.spec["map_gid"], gid)),
        ):
            with open("/proc/self/" + name, "wb", 0) as f:
                f.write(text.encode())

    def forget_arguments(self):
        """Puts what a program that was started for its function has in the place of the machine's paths in /proc/self/cmdline."""
        self.step = "forget the arguments"
        with open("/proc/self/stat", "rb") as f:
            start, end = (int(n) for n in f.read().rpartition(b")")[2].split()[45:47])
        text = b"python3\0" + ROOT_INSIDE.encode() + b"/bootstrap.py"
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, text, min(len(text), end - start - 1))

    def take_files(self):
        self.step = "take the descriptors"
        null = os.open("/dev/null", os.O_RDONLY)
        # Out of the way first: a descriptor may have the number that another is to get.
        wanted = [null, self.files[0]] + self.files
        fds = [duplicate_above(fd, LIMIT) for fd in wanted + [self.reply]]
        for number, fd in enumerate(fds[:-1]):
            os.dup2(fd, number)
        os.closerange(len(wanted), LIMIT)
        self.reply = fds[-1]
        for fd in fds[:-1]:
            os.close(fd)

    def give_up(self):
        self.step = "set limits"
        for number, value in self.spec["limits"] or ():
            resource.setrlimit(number, (value, value))
        self.step = "give up privileges"
        capability = 0
        while prctl(PR_CAPBSET_DROP, capability) == 0:
            capability += 1
        if ctypes.get_errno() != EINVAL:  # which says that there is no such capability
            check(-1, "prctl")
        check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), "prctl")
        header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
        check(libc.capset(header, bytes(24)), "capset")
        check(prctl(PR_SET_NO_NEW_PRIVS, 1), "prctl")
        self.step = "filter system calls"
        text = base64.b64decode(self.spec["filter"])
        program = Program(len(text) // 8, text)
        check(libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program), ctypes.c_ulong(0), ctypes.c_ulong(0)), "prctl")

    def settle(self):
        """The last steps, in the process that stays."""
        self.take_identity()
        self.forget_arguments()
        self.take_files()
        self.give_up()
        # The first process takes over a process whose own parent has ended, which it has or is about to.
        while os.getppid() != 1:
            os.sched_yield()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.answer({"pid": os.getpid()})
        os.close(self.reply)

    def go(self):
        """Runs in the first child. It returns in the process that is in the sandbox.

        A process that leaves children behind gives them to the first process of its own pid namespace. So the one that ends must be in the
        sandbox's: where the fork server could not enter it beforehand, there is one process more.
        """
        try:
            os.close(CONTROL)  # before anything of the sandbox is entered
            self.enter()
            self.step = "fork"
            if self.spec["user"]:
                pid = os.fork()
                if pid:
                    leave(pid)
            if os.fork():
                os._exit(0)
            self.settle()
        except BaseException as e:
            self.fail(e)
            os._exit(1)


def leave(pid):
    """Ends the process once its child has."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
    os._exit(0)


def duplicate_above(fd, low):
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, low)


class Server:
    def __init__(self):
        self.control = socket.socket(fileno=CONTROL)

    def receive(self):
        """Returns a request and its descriptors; None when the server has gone."""
        text, fds, flags, _ = socket.recv_fds(self.control, MAX_PACKET, MAX_FILES)
        if not text:
            return None
        spec = json.loads(text)
        if len(fds) != spec["files"] + 1 or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("%d descriptors" % len(fds))
        return Entry(spec, fds)

    def serve(self):
        """Returns in a child that is in its sandbox."""
        while True:
            entry = self.receive()
            if entry is None:
                os._exit(0)
            try:
                if self.fork(entry) == 0:
                    return
            except Exception as e:
                entry.fail(e)
            for fd in [entry.reply] + entry.files:
                os.close(fd)

    def fork(self, entry):
        """Returns 0 in the process that is in the sandbox."""
        early = not entry.spec["user"]
        if early:
            # A process of the machine's user namespace may let its children begin in the sandbox's pid namespace, and then go on as before.
            entry.step = "enter the pid namespace"
            self.children_in("/proc/%d/ns/pid" % entry.spec["pid"])
        entry.step = "fork"
        try:
            pid = os.fork()
        except OSError:
            pid = -1
        if pid == 0:
            self.control.detach()
            entry.go()
            return 0
        if early:
            self.children_in("/proc/self/ns/pid")
        if pid < 0:
            raise OSError("no process can be started")
        return pid

    def children_in(self, path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            check(libc.setns(fd, CLONE_NEWPID), "setns")
        finally:
            os.close(fd)


class Watch:
    """Keeps the first part of every module's name that somebody has tried to import, whether there is such a module or not."""

    def __init__(self):
        self.names = set()

    def find_spec(self, name, path=None, target=None):
        self.names.add(name.partition(".")[0])


class Relocated:
    """Finds the SDK in its folder of the machine, for modules that believe to lie where sandboxes have it."""

    def find_spec(self, name, path=None, target=None):
        for folder in path or [SDK_INSIDE]:
            if folder != SDK_INSIDE and not folder.startswith(SDK_INSIDE + "/"):
                continue
            spec = importlib.machinery.PathFinder.find_spec(name, [SDK + folder[len(SDK_INSIDE):]])
            if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
                continue
            inside = SDK_INSIDE + spec.origin[len(SDK):]
            places = [SDK_INSIDE + p[len(SDK):] for p in spec.submodule_search_locations] if spec.submodule_search_locations else None
            return importlib.util.spec_from_file_location(name, inside, loader=RelocatedLoader(name, inside), submodule_search_locations=places)
        return None


class RelocatedLoader(importlib.machinery.SourceFileLoader):
    """Reads from the SDK's folder of the machine for as long as this is the fork server."""

    here = SDK

    def get_data(self, path):
        return super().get_data(self.real(path))

    def path_stats(self, path):
        return super().path_stats(self.real(path))

    def set_data(self, path, data, *, _mode=0o666):
        pass  # the folder is the installer's to write

    @classmethod
    def real(cls, path):
        return cls.here + path[len(SDK_INSIDE):] if cls.here and path.startswith(SDK_INSIDE + "/") else path


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def load_runtime():
    """Loads the bootstrap as the main module that it is in a process that was started for its function alone."""
    inside = ROOT_INSIDE + "/bootstrap.py"
    module = types.ModuleType("bootstrap")
    module.__file__ = inside
    with open(ROOT + "/bootstrap.py") as f:
        exec(compile(f.read(), inside, "exec"), module.__dict__)
    module.__name__ = "__main__"
    return module


def prepare():
    """Loads everything, and returns the bootstrap and what the server is told."""
    bootstrap = load_runtime()
    memory = resident()
    with open(HERE + "/standard.txt") as f:
        standard = f.read().split()
    for name in standard:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    watch = Watch()
    sys.meta_path.insert(0, watch)
    if KIND == "sdk":
        relocated = Relocated()
        if SDK:
            sys.meta_path.append(relocated)
        sys.path.insert(0, HERE)
        import sdk

        sys.path.remove(HERE)
        del sys.modules["sdk"], sys.path_importer_cache[HERE]
        sdk.warm(RelocatedLoader.real)
        if SDK:
            sys.meta_path.remove(relocated)
    sys.meta_path.remove(watch)
    RelocatedLoader.here = ""
    for path in [p for p in sys.path_importer_cache if SDK and p.startswith((SDK, SDK_INSIDE))]:
        del sys.path_importer_cache[path]  # where there is nothing on this machine, there is in a sandbox
    sys.path.insert(0, ROOT_INSIDE)
    sys.argv[:] = [ROOT_INSIDE + "/bootstrap.py"]
    names = watch.names | {name.partition(".")[0] for name in sys.modules}
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise SystemExit("a module has started threads")
    gc.collect()
    libc.malloc_trim(0)
    gc.freeze()
    return bootstrap, {"ready": True, "pid": os.getpid(), "memory": memory, "modules": sorted(names - NOT_HERE)}


def main():
    gc.disable()
    os.umask(0o022)
    os.set_inheritable(CONTROL, False)
    os.closerange(CONTROL + 1, LIMIT)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a child that goes to a sandbox
    bootstrap, hello = prepare()
    server = Server()
    server.control.send(json.dumps(hello).encode())
    server.serve()
    gc.enable()
    sys.modules["__main__"] = bootstrap
    bootstrap.run()


main()
