"""Runs one Lambda function: loads its handler and serves events from the Runtime API.

Started as: python bootstrap.py [FOLDER WITH THE AWS SDK]
Everything else comes from the environment variables that Lambda documents.
"""

import os
import sys

RECORD_SEPARATOR = "\x1e"  # stands for a line break inside one log event; the engine turns it back


def arrange_path(sdk):
    """The function's own code and layers first, the SDK that the platform provides last."""
    version = "python%d.%d" % sys.version_info[:2]
    first = [os.environ["LAMBDA_TASK_ROOT"], "/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    sys.path[:0] = first
    if sdk:
        sys.path.append(sdk)


arrange_path(sys.argv[1] if len(sys.argv) > 1 else "")
del sys.argv[1:]

import json
import logging
import socket
import time
import traceback


class Fault(Exception):
    """An error that Lambda has a name for."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


class RuntimeApi:
    """A connection to the Runtime API, kept open. http.client would do the same in twice the time."""

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
            raise ConnectionError("the Runtime API has closed")
        answer = {}
        while True:
            line = self.reader.readline()
            if line in (b"\r\n", b""):
                break
            name, _, value = line.decode("utf-8").partition(":")
            answer[name.strip().lower()] = value.strip()
        return answer, self.reader.read(int(answer.get("content-length", "0")))

    def next(self):
        return self.call("GET", "invocation/next")

    def respond(self, request_id, body, content_type):
        self.call("POST", "invocation/%s/response" % request_id, body, [("Content-Type", content_type)])

    def report(self, path, document):
        headers = [("Content-Type", "application/json"), ("Lambda-Runtime-Function-Error-Type", one_line(document["errorType"]))]
        self.call("POST", path, json.dumps(document).encode("utf-8"), headers)


def one_line(text):
    return "".join(c for c in text if c.isprintable() and c.isascii())


class Identity:
    def __init__(self, document):
        self.cognito_identity_id = document.get("cognitoIdentityId")
        self.cognito_identity_pool_id = document.get("cognitoIdentityPoolId")

    def __repr__(self):
        return show(self)


class Client:
    def __init__(self, document):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, document.get(name))

    def __repr__(self):
        return show(self)


class ClientContext:
    def __init__(self, document):
        self.custom = document.get("custom")
        self.env = document.get("env")
        self.client = Client(document["client"]) if isinstance(document.get("client"), dict) else None

    def __repr__(self):
        return show(self)


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, headers):
        env = os.environ
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.log_group_name = env.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.client_context = None
        text = headers.get("lambda-runtime-client-context")
        if text:
            document = parse_header(text, "Client Context")
            self.client_context = ClientContext(document) if isinstance(document, dict) else None
        text = headers.get("lambda-runtime-cognito-identity")
        self.identity = Identity(parse_header(text, "Cognito Identity") if text else {})
        self._epoch_deadline_time_in_ms = int(headers.get("lambda-runtime-deadline-ms", "0"))

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, text):
        sys.stdout.write(str(text))

    def __repr__(self):
        return show(self)


def show(o):
    return "%s([%s])" % (type(o).__name__, ",".join("%s=%s" % item for item in vars(o).items()))


def parse_header(text, name):
    try:
        return json.loads(text)
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

    def event(self, text):
        self.out.write(text.rstrip("\n").replace("\n", RECORD_SEPARATOR) + "\n")

    def error(self, document):
        lines = ["[ERROR] %s: %s" % (document["errorType"], document["errorMessage"]), "Traceback (most recent call last):"]
        for entry in document["stackTrace"]:
            for line in entry.splitlines():
                indent = len(line) - len(line.lstrip(" "))
                lines.append("\u00a0" * indent + line[indent:])
        self.event("\n".join(lines))


class Handler(logging.Handler):
    """What the root logger has on Lambda."""

    request_id = ""

    def __init__(self, log):
        super().__init__()
        self.log = log
        formatter = logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def emit(self, record):
        record.aws_request_id = Handler.request_id
        try:
            self.log.event(self.format(record))
        except Exception:
            self.handleError(record)


def flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except Exception:
            pass  # replaced or closed by the function, which is its own affair


def invoke(handler, headers, body):
    """Returns what the handler answers, encoded, and its content type."""
    context = LambdaContext(headers)
    try:
        event = json.loads(body)
    except ValueError as e:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % e)
    answer = handler(event, context)
    if isinstance(answer, bytes):
        return answer, "application/unknown"
    try:
        return Encoder().encode(answer).encode("utf-8"), "application/json"
    except Exception as e:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % e)


def serve(api, handler, log):
    while True:
        headers, body = api.next()
        request_id = headers.get("lambda-runtime-aws-request-id")
        if request_id is None:  # the engine is stopping, and answers without an event
            raise ConnectionError("the Runtime API has closed")
        Handler.request_id = request_id
        if "lambda-runtime-trace-id" in headers:
            os.environ["_X_AMZN_TRACE_ID"] = headers["lambda-runtime-trace-id"]
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        try:
            answer, content_type = invoke(handler, headers, body)
        except Exception as e:
            document = error_document(e, request_id)
            log.error(document)
            flush()
            api.report("invocation/%s/error" % request_id, document)
        else:
            flush()
            api.respond(request_id, answer, content_type)


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    log = Log()
    logging.getLogger().addHandler(Handler(log))
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load_handler(os.environ["_HANDLER"])
    except Exception as e:
        document = error_document(e, "")
        log.error(document)
        flush()
        api.report("init/error", document)
        sys.exit(1)
    try:
        serve(api, handler, log)
    except ConnectionError:
        sys.exit(1)  # the environment ends


main()
