"""Loads boto3 and what its clients need, so that the children of the fork server make theirs quickly.

Four things of botocore are changed, none of which a program can tell but by its time: sessions share the service descriptions that one loader has read,
the first sessions and TLS contexts are made already (neither looks at anything of its surroundings before it is used), and the endpoint rules of a service
are parsed once. No client, credential or variable survives the warming.
"""

import functools
import os

# Those that functions use most. Another one's description is read when a client of it is made, as ever.
SERVICES = "dynamodb s3 sqs sns lambda sts logs events stepfunctions secretsmanager ssm kms".split()
RESOURCES = "dynamodb s3 sqs sns".split()
SESSIONS = 2  # boto3's default session, and one more
CONTEXTS = 8  # every client has one, and every session a few

# What a session may look at while it is warmed: nothing of this machine.
SURROUNDINGS = {
    "HOME": "/tmp", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def warm(real):
    """Does it. real says where in the machine's tree a path of the SDK is. What botocore does not have under the expected name stays as it is."""
    try:
        import boto3.dynamodb.conditions
        import boto3.dynamodb.types
        import boto3.s3.transfer
        import boto3.session
        import botocore.config
        import botocore.endpoint_provider
        import botocore.exceptions
        import botocore.httpsession
        import botocore.loaders
        import botocore.session
    except ImportError:
        return
    saved = dict(os.environ)
    os.environ.clear()
    os.environ.update(SURROUNDINGS)
    try:
        share_rules()
        shared = read_descriptions(real)
        share_descriptions(shared)
        make_sessions()
        make_contexts()
    finally:
        os.environ.clear()
        os.environ.update(saved)


def read_descriptions(real):
    """Returns what a loader has in its cache when a client of each service has been made."""
    import boto3
    import botocore.loaders
    import botocore.session

    inside = [botocore.loaders.Loader.BUILTIN_DATA_PATH, os.path.join(os.path.dirname(boto3.__file__), "data")]
    here = [real(path) for path in inside]
    loader = botocore.loaders.Loader(extra_search_paths=here, include_default_search_paths=False)
    usual, botocore.session.create_loader = botocore.session.create_loader, lambda search_path_string=None: loader
    try:
        make_clients()
    finally:
        botocore.session.create_loader = usual
    cache = {}
    for key, value in loader._cache.items():
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):  # a description, and where it was found
            for a, b in zip(here, inside):
                if value[1].startswith(a + os.sep):
                    value = (value[0], b + value[1][len(a) :])
                    break
        cache[key] = value
    return cache


def make_clients():
    """Makes a client of each service and forgets it: what stays are modules, descriptions and rules."""
    import boto3.session

    session = boto3.session.Session(aws_access_key_id="warm", aws_secret_access_key="warm", region_name="us-east-1")
    for make, names in ((session.client, SERVICES), (session.resource, RESOURCES)):
        for name in names:
            try:
                make(name)
            except Exception:
                continue  # this SDK does not have it


def share_descriptions(shared):
    """Lets the loaders of all sessions that look in the usual folders, and nowhere else, share what is read."""
    import boto3
    import botocore.loaders as loaders
    import botocore.session

    usual = botocore.session.create_loader
    folders = {loaders.Loader.BUILTIN_DATA_PATH, loaders.Loader.CUSTOMER_DATA_PATH, os.path.join(os.path.dirname(boto3.__file__), "data")}

    class Loader(loaders.Loader):
        __doc__ = loaders.Loader.__doc__

        @property
        def _cache(self):
            return shared if folders.issuperset(self.search_paths) else self._own_cache

        @_cache.setter
        def _cache(self, value):
            self._own_cache = value

    Loader.__module__, Loader.__qualname__ = loaders.Loader.__module__, loaders.Loader.__qualname__

    @functools.wraps(usual)
    def create_loader(search_path_string=None):
        # Descriptions of the function's own are found through its home, whose name the SDK reads when it is imported.
        Loader.CUSTOMER_DATA_PATH = loaders.Loader.CUSTOMER_DATA_PATH = os.path.join(os.path.expanduser("~"), ".aws", "models")
        if search_path_string is None and not os.path.isdir(Loader.CUSTOMER_DATA_PATH):
            folders.add(Loader.CUSTOMER_DATA_PATH)
            return Loader()
        return usual(search_path_string)

    botocore.session.create_loader = create_loader


def share_rules():
    import botocore.endpoint_provider as provider

    usual, parsed = provider.RuleSet, {}

    @functools.wraps(usual, updated=())
    def rule_set(*args, **document):
        rules = document.get("rules")
        known = parsed.get(id(rules))
        if known is None:
            # The rules are kept with what was made of them, so that their identity stays theirs.
            known = parsed[id(rules)] = (rules, usual(*args, **document))
        return known[1]

    provider.RuleSet = rule_set


def make_sessions():
    """Makes sessions ahead. All that a new one asks for is the name of the runtime, for its user agent, which is made again when the session is given out."""
    import botocore.session

    usual, kind, asked = botocore.session.get_session, type(os.environ), set()

    class Recorder(kind):
        def __getitem__(self, name):
            asked.add(name)
            return super().__getitem__(name)

    os.environ.__class__ = Recorder  # sessions hold on to the object
    try:
        made = [botocore.session.Session() for _ in range(SESSIONS)]
    finally:
        os.environ.__class__ = kind
    agent = getattr(botocore.session.Session, "_register_user_agent_creator", None)
    if not asked <= {"AWS_EXECUTION_ENV"} or asked and agent is None:
        return  # this botocore is another

    @functools.wraps(usual)
    def get_session(env_vars=None):
        if not made or env_vars is not None:
            return usual(env_vars)
        session = made.pop()
        if agent:
            agent(session)
        return session

    botocore.session.get_session = get_session


def make_contexts():
    """Makes TLS contexts ahead, with the usual settings. Each is given out once, as its owner may change it."""
    import botocore.httpsession as http

    usual = http.create_urllib3_context
    made = [usual() for _ in range(CONTEXTS)]

    @functools.wraps(usual)
    def create_urllib3_context(*args, **kwargs):
        wanted = any(v is not None for v in args) or any(v is not None for v in kwargs.values())
        if wanted or not made or os.environ.get("SSLKEYLOGFILE"):
            return usual(*args, **kwargs)
        return made.pop()

    http.create_urllib3_context = create_urllib3_context
