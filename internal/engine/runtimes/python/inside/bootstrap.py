"""Runs one Lambda function: loads its handler and serves its events.

It is executed, and then has its environment from the start, or it is loaded by the fork server, and then runs in a child that gets its environment with
the assign frame. It speaks frames on descriptor 3 (docs/architecture/engine.md) when there is a socket, and otherwise HTTP to the Runtime API.
"""

import os
import sys

RECORD_SEPARATOR = "\x1e"  # stands for a line break inside one log event; the engine turns it back
FRAMES = 3  # the descriptor


def arrange_path(sdk):
    """The function's own code and layers first, the SDK that the platform provides last."""
    version = "python%d.%d" % sys.version_info[:2]
    own = [os.environ["LAMBDA_TASK_ROOT"], "/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    sys.path[:0] = own
    if sdk:
        sys.path.append(sdk)


# Before anything else is imported: a function may bring its own copy of any module, as on Lambda.
EXECUTED = __name__ == "__main__"
if EXECUTED:
    arrange_path(os.environ.pop("CROFT_PYTHON_SDK", ""))

import json
import logging
import socket
import stat
import struct
import time
import traceback

loads, dumps = json.loads, json.dumps  # what the function does to the module is the function's affair


class Fault(Exception):
    """An error that Lambda has a name for."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


class Closed(Exception):
    """The server has no more events."""


class Event:
    """What one invocation brings."""

    __slots__ = ("id", "deadline", "arn", "trace", "context", "identity", "tenant", "body")

    def __init__(self, document, body):
        self.id = document["id"]
        get = document.get
        self.deadline = int(get("deadline") or 0)
        self.arn = get("arn")
        self.trace = get("trace")
        self.context = get("context")
        self.identity = get("identity")
        self.tenant = get("tenant")
        self.body = body


PREFIX = struct.Struct("<IBI")


class Frames:
    """The server, over frames."""

    def __init__(self):
        os.set_inheritable(FRAMES, False)
        self.socket = socket.socket(fileno=FRAMES)
        self.heads = {}  # of answers, by their media types
        self.assignment = self.receive(b"A")[0]

    def receive(self, expected):
        """Returns a frame's header and body. The server sends the next one only when this one is answered, so that what comes is one frame."""
        got = self.socket.recv(65536)
        while len(got) < PREFIX.size:
            got += self.more()
        length, kind, header = PREFIX.unpack_from(got)
        if kind != expected[0] or header + 5 > length:
            raise Closed
        end = length + 4
        if len(got) < end:
            pieces, have = [got], len(got)
            while have < end:
                piece = self.more()
                pieces.append(piece)
                have += len(piece)
            got = b"".join(pieces)
        if len(got) != end:
            raise Closed
        body = PREFIX.size + header
        return loads(got[PREFIX.size : body] or b"{}"), got[body:]

    def more(self):
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise Closed
        return piece

    def send(self, kind, header=None, body=b""):
        head = dumps(header).encode() if header else b""
        self.socket.sendall(PREFIX.pack(5 + len(head) + len(body), kind[0], len(head)) + head + body)

    def restored(self):
        pass

    def forked(self):
        """Waits for a fork frame, and returns its descriptors: where to tell the child's number, its output and its frames."""
        frame, fds, _, _ = socket.recv_fds(self.socket, 9, 3)
        if frame != b"\x05\0\0\0F\0\0\0\0" or len(fds) != 3:
            raise Closed
        return fds

    def ready(self):
        self.send(b"R", {"pid": os.getpid()})

    def next(self):
        return Event(*self.receive(b"N"))

    def respond(self, request_id, body, media_type):
        head = self.heads.get(media_type)
        if head is None:
            head = self.heads[media_type] = dumps({"type": media_type}).encode()
        self.socket.sendall(PREFIX.pack(5 + len(head) + len(body), 79, len(head)) + head + body)  # O

    def fail(self, request_id, document):
        self.send(b"E", {"type": one_line(document["errorType"])}, dumps(document).encode())

    def fail_init(self, document):
        self.send(b"I", {"type": one_line(document["errorType"])}, dumps(document).encode())


class RuntimeApi:
    """The server, over HTTP. The connection is kept open. http.client would do the same in twice the time."""

    assignment = {}

    def __init__(self, address):
        host, _, port = address.partition(":")
        self.address = address
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb", 65536)

    def call(self, method, path, body=b"", headers=()):
        lines = ["%s /2018-06-01/runtime/%s HTTP/1.1" % (method, path), "Host: " + self.address]
        lines += ["%s: %s" % h for h in headers]
        lines += ["Content-Length: %d" % len(body), "", ""]
        self.socket.sendall("\r\n".join(lines).encode("utf-8") + body)
        if not self.reader.readline():
            raise Closed
        answer = {}
        while True:
            line = self.reader.readline()
            if line in (b"\r\n", b""):
                break
            name, _, value = line.decode("utf-8").partition(":")
            answer[name.strip().lower()] = value.strip()
        return answer, self.reader.read(int(answer.get("content-length", "0")))

    def restored(self):
        self.call("GET", "restore/next")

    def ready(self):
        pass  # asking for the first event says so

    def next(self):
        headers, body = self.call("GET", "invocation/next")
        if "lambda-runtime-aws-request-id" not in headers:
            raise Closed  # the engine is stopping, and answers without an event
        names = {
            "id": "aws-request-id", "deadline": "deadline-ms", "arn": "invoked-function-arn", "trace": "trace-id",
            "context": "client-context", "identity": "cognito-identity", "tenant": "aws-tenant-id",
        }
        return Event({k: headers.get("lambda-runtime-" + v) for k, v in names.items()}, body)

    def respond(self, request_id, body, media_type):
        self.call("POST", "invocation/%s/response" % request_id, body, [("Content-Type", media_type)])

    def fail(self, request_id, document):
        self.report("invocation/%s/error" % request_id, document)

    def fail_init(self, document):
        self.report("init/error", document)

    def report(self, path, document):
        headers = [("Content-Type", "application/json"), ("Lambda-Runtime-Function-Error-Type", one_line(document["errorType"]))]
        self.call("POST", path, dumps(document).encode("utf-8"), headers)


def one_line(text):
    """For a header, which has a bound."""
    return "".join(c for c in text[:256] if c.isprintable() and c.isascii())


def show(o):
    return "%s([%s])" % (type(o).__name__, ",".join("%s=%s" % item for item in vars(o).items()))


class CognitoIdentity:
    def __init__(self, document):
        self.cognito_identity_id = document.get("cognitoIdentityId")
        self.cognito_identity_pool_id = document.get("cognitoIdentityPoolId")

    __repr__ = show


class Client:
    def __init__(self, document):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, document.get(name))

    __repr__ = show


class ClientContext:
    def __init__(self, document):
        self.custom = document.get("custom")
        self.env = document.get("env")
        self.client = Client(document["client"]) if isinstance(document.get("client"), dict) else None

    __repr__ = show


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, event, own):
        self.aws_request_id = event.id
        (self.log_group_name, self.log_stream_name, self.function_name, self.memory_limit_in_mb, self.function_version) = own
        self.invoked_function_arn = event.arn
        self.tenant_id = event.tenant
        document = parse(event.context, "Client Context") if event.context else None
        self.client_context = ClientContext(document) if isinstance(document, dict) else None
        document = parse(event.identity, "Cognito Identity") if event.identity else None
        self.identity = CognitoIdentity(document if isinstance(document, dict) else {})
        self._epoch_deadline_time_in_ms = event.deadline

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, text):
        sys.stdout.write(str(text))

    __repr__ = show


def parse(text, name):
    try:
        return loads(text) if text else None
    except ValueError as e:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, e))


def load_handler(name):
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name)
    import importlib

    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, e))
    except SyntaxError as e:
        where = '  File "%s" Line %s\n    %s' % (e.filename, e.lineno, e.text)
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e), [where])
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name))


class Encoder(json.JSONEncoder):
    """JSON as Lambda writes it. A Decimal becomes the number that it prints as, which no hook of the json module can express: it is encoded as a
    string that nothing else can contain, and unquoted afterwards."""

    def __init__(self):
        runtime = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")[2]
        super().__init__(ensure_ascii=not runtime.isdigit() or int(runtime) < 12)
        self.mark = None

    def default(self, o):
        decimal = sys.modules.get("decimal")
        if decimal is None or not isinstance(o, decimal.Decimal):
            return super().default(o)
        if o.is_nan():
            return float("nan")
        if self.mark is None:
            self.mark = "decimal-%s:" % os.urandom(16).hex()
        return self.mark + str(o)

    def encode(self, o):
        self.mark = None
        text = super().encode(o)
        if self.mark is None:
            return text
        import re

        mark, self.mark = self.mark, None
        return re.sub('"%s([^"]*)"' % mark, r"\1", text)


def error_document(e, request_id):
    if isinstance(e, Fault):
        kind, trace = e.kind, e.trace
    else:
        frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(e.__traceback__)]
        own = 0
        while own < len(frames) - 1 and frames[own][0] == __file__:
            own += 1
        kind, trace = type(e).__name__, traceback.format_list(frames[own:])
    return {"errorMessage": str(e), "errorType": kind, "requestId": request_id, "stackTrace": trace}


class Log:
    """Writes log events to the standard output that the process started with, whatever the function does to sys.stdout."""

    def __init__(self):
        self.out = sys.stdout
        self.json = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"

    def event(self, text):
        self.out.write(text.rstrip("\n").replace("\n", RECORD_SEPARATOR) + "\n")

    def error(self, document):
        if self.json:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.event(dumps(dict({"timestamp": stamp, "log_level": "ERROR"}, **document), ensure_ascii=False))
            return
        lines = ["[ERROR] %s: %s" % (document["errorType"], document["errorMessage"]), "Traceback (most recent call last):"]
        for entry in document["stackTrace"]:
            for line in entry.splitlines():
                indent = len(line) - len(line.lstrip(" "))
                lines.append("\u00a0" * indent + line[indent:])
        self.event("\n".join(lines))


class JSONFormatter(logging.Formatter):
    """A record as Lambda's JSON log format has it."""

    # What every record has; anything else was given by the caller as extra, and becomes a member.
    usual = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "aws_request_id", "tenant_id"}

    def __init__(self):
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record):
        level = min(50, max(10, (record.levelno + 5) // 10 * 10))  # Lambda knows five levels
        members = {
            "timestamp": self.formatTime(record, self.datefmt), "level": logging.getLevelName(level),
            "message": record.getMessage(), "logger": record.name,
        }
        if record.exc_info and record.exc_info[0]:
            kind, value, trace = record.exc_info
            members.update({
                "stackTrace": traceback.format_tb(trace), "errorType": kind.__name__, "errorMessage": str(value),
                "location": "%s:%s:%d" % (record.pathname, record.funcName, record.lineno),
            })
        members["requestId"] = record.aws_request_id or None
        members["tenantId"] = record.tenant_id
        for name, value in vars(record).items():
            if name not in self.usual:
                members.setdefault(name, value)
        return dumps({k: v for k, v in members.items() if v is not None}, ensure_ascii=False, default=str)


class Handler(logging.Handler):
    """What the root logger has on Lambda."""

    request_id, tenant = "", None

    def __init__(self, log):
        super().__init__()
        self.log = log
        if log.json:
            self.setFormatter(JSONFormatter())
            return
        formatter = logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def filter(self, record):
        # As a filter does on Lambda, so that a formatter of the function's own finds them too.
        record.aws_request_id, record.tenant_id = self.request_id, self.tenant
        return super().filter(record)

    def emit(self, record):
        try:
            self.log.event(self.format(record))
        except Exception:
            self.handleError(record)


def set_up_logging(log):
    root = logging.getLogger()
    root.addHandler(Handler(log))
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level)
    if log.json and level in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


def flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except Exception:
            pass  # replaced or closed by the function, which is its own affair


OWN = ("LOG_GROUP_NAME", "LOG_STREAM_NAME", "FUNCTION_NAME", "FUNCTION_MEMORY_SIZE", "FUNCTION_VERSION")


def invoke(handler, event, own, encode):
    """Returns what the handler answers, encoded, and its media type."""
    context = LambdaContext(event, own)
    try:
        document = loads(event.body)
    except ValueError as e:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % e)
    answer = handler(document, context)
    if isinstance(answer, bytes):
        return answer, "application/unknown"
    try:
        return encode(answer).encode("utf-8"), "application/json"
    except Exception as e:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % e)


def serve(server, handler, log):
    own, encode = [os.environ.get("AWS_LAMBDA_" + name) for name in OWN], Encoder().encode
    while True:
        event = server.next()
        Handler.request_id, Handler.tenant = event.id, event.tenant
        if event.trace:
            os.environ["_X_AMZN_TRACE_ID"] = event.trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        try:
            answer, media_type = invoke(handler, event, own, encode)
        except Exception as e:
            document = error_document(e, event.id)
            log.error(document)
            flush()
            server.fail(event.id, document)
        else:
            flush()
            server.respond(event.id, answer, media_type)


def run_hooks(name, kind):
    """Runs the functions that the function's code has registered with snapshot_restore_py, if it has imported it."""
    registered = getattr(sys.modules.get("snapshot_restore_py"), name, list)
    for function, args, kwargs in registered():
        try:
            function(*args, **kwargs)
        except Exception as e:
            raise Fault(kind, str(e), traceback.format_tb(e.__traceback__))


def initialise(server):
    """Loads the handler, and with SnapStart does what belongs to a snapshot and its restoration."""
    handler = load_handler(os.environ["_HANDLER"])
    if server.assignment.get("restore") or os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        run_hooks("get_before_snapshot", "Runtime.BeforeSnapshotError")
        if server.assignment.get("snapshot"):
            return handler
        server.restored()
        run_hooks("get_after_restore", "Runtime.AfterRestoreError")
    return handler


def take_environment(assignment):
    """Makes the assignment's variables the process's. Without any it has had them from its start."""
    env = assignment.get("env")
    if env is None:
        return
    if "LC_CTYPE" in os.environ:  # which the interpreter sets itself where the system lacks the locale
        env.setdefault("LC_CTYPE", os.environ["LC_CTYPE"])
    os.environ.clear()  # in place: modules hold on to the object
    os.environ.update(env)
    time.tzset()
    os.chdir(env["LAMBDA_TASK_ROOT"])


def is_socket(fd):
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def give_up(server, log, e):
    document = error_document(e, "")
    log.error(document)
    flush()
    server.fail_init(document)
    sys.exit(1)


def snapshot(server, log):
    """Makes the process a snapshot, and returns in its copies, once they are restored, with their own connections to the server."""
    import croft_snapshot

    try:
        croft_snapshot.check_fit()
    except croft_snapshot.Unfit as e:
        flush()
        server.fail_init(error_document(Fault("Croft.NoSnapshot", str(e)), ""))
        sys.exit(1)
    server.ready()
    croft_snapshot.copies(server, flush, dumps)
    server = Frames()
    os.environ.update(server.assignment["env"])
    try:
        croft_snapshot.own_descriptors()
        croft_snapshot.own_folder()
        run_hooks("get_after_restore", "Runtime.AfterRestoreError")
    except Exception as e:
        give_up(server, log, e)
    return server


def run():
    """Serves until the server has no more events. An exit of the function's own passes through."""
    try:
        server = Frames() if is_socket(FRAMES) else RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    except Closed:
        return
    take_environment(server.assignment)
    if not EXECUTED:
        arrange_path(server.assignment.get("sdk"))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    log = Log()
    set_up_logging(log)
    try:
        try:
            handler = initialise(server)
        except Exception as e:
            give_up(server, log, e)
        if server.assignment.get("snapshot"):
            server = snapshot(server, log)
        server.ready()
        serve(server, handler, log)
    except (Closed, ConnectionError):
        sys.exit(1)  # the environment ends


if EXECUTED:
    run()
