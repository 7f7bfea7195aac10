"""What a hostile function tries. Each attempt gives one line of the answer: its name, and what came of it."""

import ctypes
import errno
import os
import re
import socket
import struct

libc = ctypes.CDLL(None, use_errno=True)


def outcome(attempt):
    try:
        result = attempt()
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    except Exception as e:
        return type(e).__name__ + ": " + str(e)
    return "done" if result is None else str(result)


def call(number, *args):
    result = libc.syscall(ctypes.c_long(number), *[a if isinstance(a, (bytes, type(None))) or hasattr(a, "_type_") else ctypes.c_long(a) for a in args])
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def read(path):
    with open(path, "rb") as f:
        return "read %d bytes" % len(f.read(1 << 20))


def write(path, text=b"0"):
    with open(path, "r+b", 0) as f:
        f.write(text)


def connect(family, kind, to):
    s = socket.socket(family, kind)
    s.settimeout(2)
    try:
        s.connect(to)
        s.getpeername()  # an error of the network's may pass for the end of connecting
        return "connected"
    except TimeoutError:
        return "timeout"
    finally:
        s.close()


def http(method, port, path, body=b"", headers=()):
    import http.client

    c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        c.request(method, path, body, dict(headers))
        r = c.getresponse()
        return r.status, r.read(1000).decode(), r.headers
    finally:
        c.close()


# x86-64 and aarch64
MACHINE = os.uname().machine
NUMBERS = {
    "x86_64": {
        "ptrace": 101, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "bpf": 321, "keyctl": 250,
        "add_key": 248, "userfaultfd": 323, "io_uring_setup": 425, "perf_event_open": 298, "process_vm_readv": 310, "init_module": 175, "reboot": 169,
        "syslog": 103, "clock_settime": 227, "open_by_handle_at": 304, "fsopen": 430, "open_tree": 428, "clone3": 435, "clone": 56, "pidfd_getfd": 438,
        "kcmp": 312, "sethostname": 170, "swapon": 167, "acct": 163, "mknod": 133, "setuid": 105, "iopl": 172, "modify_ldt": 154, "quotactl": 179,
    },
    "aarch64": {
        "ptrace": 117, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "bpf": 280, "keyctl": 219,
        "add_key": 217, "userfaultfd": 282, "io_uring_setup": 425, "perf_event_open": 241, "process_vm_readv": 270, "init_module": 105, "reboot": 142,
        "syslog": 116, "clock_settime": 112, "open_by_handle_at": 265, "fsopen": 430, "open_tree": 428, "clone3": 435, "clone": 220, "pidfd_getfd": 438,
        "kcmp": 272, "sethostname": 161, "swapon": 224, "acct": 89, "setuid": 146, "quotactl": 60,
    },
}[MACHINE]


def kernel(out):
    for name in (
        "ptrace mount umount2 pivot_root bpf keyctl add_key userfaultfd io_uring_setup perf_event_open process_vm_readv init_module reboot syslog "
        "clock_settime open_by_handle_at fsopen open_tree pidfd_getfd kcmp sethostname swapon acct iopl modify_ldt quotactl"
    ).split():
        if name in NUMBERS:
            out["call " + name] = outcome(lambda: call(NUMBERS[name], 16, 1, 0, 0, 0, 0))
    out["call clone3"] = outcome(lambda: call(NUMBERS["clone3"], None, 0))
    out["chroot"] = outcome(lambda: os.chroot("/tmp"))
    out["setuid"] = outcome(lambda: os.setuid(0))
    for name, flag in {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000, "cgroup": 0x2000000, "time": 0x80}.items():
        out["unshare " + name] = outcome(lambda: call(NUMBERS["unshare"], flag))
        if name != "time":
            out["clone " + name] = outcome(lambda: call(NUMBERS["clone"], flag | 17, 0, 0, 0, 0))
    for name in ("mnt", "net", "pid", "user"):
        def enter():
            fd = os.open("/proc/1/ns/" + name, os.O_RDONLY)
            call(NUMBERS["setns"], fd, 0)

        out["enter " + name] = outcome(enter)
    if MACHINE == "x86_64":
        # The 32-bit interface: getpid is number 20 there.
        page = ctypes.CDLL(None).mmap
        page.restype = ctypes.c_void_p
        out["x32"] = outcome(lambda: call(0x40000000 + 39))
    out["device"] = outcome(lambda: os.mknod("/tmp/device", 0o60666, os.makedev(8, 0)))
    out["setuid file"] = outcome(setuid_file)
    for name, number in (("nproc", 6), ("nofile", 7)):
        def lift():
            import resource

            soft, hard = resource.getrlimit(number)
            resource.setrlimit(number, (hard + 1, hard + 1))

        out["lift " + name] = outcome(lift)
    out["nice"] = outcome(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
    out["realtime"] = outcome(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)))
    out["oom score"] = outcome(lambda: write("/proc/self/oom_score_adj", b"-1000"))
    out["oom score 0"] = outcome(lambda: write("/proc/self/oom_score_adj", b"0"))
    with open("/proc/self/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    out["capabilities"] = " ".join(status[n].lstrip("0") or "0" for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    out["privileges"] = status["NoNewPrivs"] + status["Seccomp"]
    import resource

    out["core"] = str(resource.getrlimit(resource.RLIMIT_CORE))


def setuid_file():
    with open("/tmp/suid", "w") as f:
        f.write("#!/bin/sh\n")
    os.chmod("/tmp/suid", 0o6755)
    os.chown("/tmp/suid", 0, 0)


def files(out, event):
    for path in (
        "/etc/shadow", "/etc/hostname", "/var/log", "/sys", "/proc/1/environ", "/proc/1/maps", "/proc/1/root/etc/shadow", "/proc/1/cwd", "/proc/1/fd",
        "/proc/kcore", "/proc/kmsg", "/proc/keys", "/dev/mem", "/dev/kmsg", "/dev/net/tun", "/dev/fuse", "/dev/kvm", "/dev/ptmx", "/dev/tty", "/.croft", "/run",
        "/var/run/docker.sock", "/sys/fs/cgroup", event["secret"], event["data"], "/proc/%d/environ" % event["pid"],
        "/proc/self/../%d/root" % event["pid"], "/proc/self/root/../../../../etc/shadow", "/proc/self/cwd/../../etc/shadow", "/proc/thread-self/root/var/log",
    ):
        name = {event["secret"]: "SECRET", event["data"]: "DATA"}.get(path, path.replace(str(event["pid"]), "SERVER"))
        out["read " + name] = outcome(lambda: os.listdir(path) if os.path.isdir(path) else read(path))
    for path in (
        "/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/etc/passwd", "/etc/resolv.conf",
        "/var/task/app.py", "/var/runtime/bootstrap.py", "/proc/self/exe", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups",
        "/proc/self/timerslack_ns", "/dev/null",
    ):
        out["write " + path] = outcome(lambda: write(path))
    out["write /"] = outcome(lambda: open("/x", "w"))
    for path in ("/proc/self/exe", "/usr/lib", "/var/task", "/"):
        out["chmod " + path] = outcome(lambda: os.chmod(path, 0o777))
        out["touch " + path] = outcome(lambda: os.utime(path))
    for fd in os.listdir("/proc/self/fd"):
        try:
            to = os.readlink("/proc/self/fd/" + fd)
        except OSError:
            continue
        if int(fd) > 2:
            out.setdefault("descriptors", []).append(to.partition(":")[0])
    out["processes"] = len([p for p in os.listdir("/proc") if p.isdigit()])
    with open("/proc/self/environ") as f:
        out["environ"] = "SERVER_SECRET" in f.read()
    with open("/proc/self/cmdline") as f:
        out["arguments"] = event["data"] in f.read()
    with open("/proc/self/maps") as f:
        out["maps"] = event["data"] in f.read()
    # What the parent's memory held is in the child's.
    out["memory"] = find(re.compile(b"needle-[0-9a-f]{16}"))


def find(needle):
    """Looks for what matches needle in the process's own memory."""
    found = 0
    with open("/proc/self/maps") as f:
        lines = f.read().splitlines()
    with open("/proc/self/mem", "rb", 0) as mem:
        for line in lines:
            where, mode = line.split()[:2]
            low, high = (int(x, 16) for x in where.split("-"))
            if "r" not in mode or high - low > 64 << 20 or "[v" in line:
                continue
            try:
                mem.seek(low)
                data = mem.read(high - low)
            except (OSError, ValueError, OverflowError):
                continue
            found += len(needle.findall(data))
    return found


def signals(out, event):
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for name, pid in {"all": -1, "group": 0, "first": 1, "server": event["pid"]}.items():
        for s in (0, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
            if name == "group" and s != 0:
                continue
            out["kill %s %d" % (name, s)] = outcome(lambda: os.kill(pid, s))
    out["session"] = os.getsid(0) == os.getpid() == os.getpgid(0)


def network(out, event):
    for name, family, kind, to in (
        ("server", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", event["port"])),
        ("loopback 6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", event["port"])),
        ("mapped", socket.AF_INET6, socket.SOCK_STREAM, ("::ffff:127.0.0.1", event["port"])),
        ("any", socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", event["port"])),
        ("host", socket.AF_INET, socket.SOCK_STREAM, (event["host"], event["port"])),
        ("mapped host", socket.AF_INET6, socket.SOCK_STREAM, ("::ffff:" + event["host"], event["port"])),
        ("6to4 host", socket.AF_INET6, socket.SOCK_STREAM, ("2002:7f00:1::", event["port"])),
        ("nat64 loopback", socket.AF_INET6, socket.SOCK_STREAM, ("64:ff9b::7f00:1", event["port"])),
        ("gateway", socket.AF_INET, socket.SOCK_STREAM, ("198.18.0.1", event["port"])),
        ("neighbour", socket.AF_INET, socket.SOCK_STREAM, ("198.18.0.2", event["port"])),
        ("metadata", socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)),
        ("metadata 6", socket.AF_INET6, socket.SOCK_STREAM, ("fd00:ec2::254", 80)),
        ("ecs", socket.AF_INET, socket.SOCK_STREAM, ("169.254.170.2", 80)),
        ("broadcast", socket.AF_INET, socket.SOCK_STREAM, ("255.255.255.255", 80)),
        ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, "\0" + event["abstract"]),
    ):
        out["connect " + name] = outcome(lambda: connect(family, kind, to))
    for name, args in {
        "raw": (socket.AF_INET, socket.SOCK_RAW, 1), "raw 6": (socket.AF_INET6, socket.SOCK_RAW, 58), "packet": (17, socket.SOCK_RAW, 0),
        "vsock": (40, socket.SOCK_STREAM, 0), "alg": (38, socket.SOCK_SEQPACKET, 0), "bluetooth": (31, socket.SOCK_RAW, 1), "can": (29, socket.SOCK_RAW, 1),
        "tipc": (30, socket.SOCK_STREAM, 0), "xdp": (44, socket.SOCK_RAW, 0), "ping": (socket.AF_INET, socket.SOCK_DGRAM, 1), "key": (15, socket.SOCK_RAW, 2),
    }.items():
        out["socket " + name] = outcome(lambda: socket.socket(*args).close())
    out["netlink address"] = outcome(netlink_address)
    out["udp host"] = outcome(lambda: udp((event["host"], event["udp"])))
    out["udp loopback"] = outcome(lambda: udp(("127.0.0.1", event["udp"])))
    out["metadata name"] = outcome(lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("metadata.google.internal", 80)))
    out["listen 80"] = outcome(lambda: socket.create_server(("127.0.0.1", 80)).close())


def udp(to):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    s.connect(to)
    s.send(b"x")
    try:
        return s.recv(10)
    except TimeoutError:
        return "timeout"


def netlink_address():
    """Asks the kernel for another address of the device."""
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    body = struct.pack("BBBBI", 2, 8, 0, 0, 2) + struct.pack("HH4s", 8, 2, socket.inet_aton("10.0.0.1"))
    s.send(struct.pack("IHHII", 16 + len(body), 20, 0x605, 1, 0) + body)
    code = struct.unpack("i", s.recv(4096)[16:20])[0]
    if code:
        raise OSError(-code, "netlink")


def handler(event, context):
    out = {}
    files(out, event)
    kernel(out)
    network(out, event)
    signals(out, event)
    return out
