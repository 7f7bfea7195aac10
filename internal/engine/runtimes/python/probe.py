"""Prints what the engine must know of this interpreter to run it in a sandbox, as JSON. The arguments are modules that its fork server loads."""

import importlib
import importlib.util
import json
import os
import sys
import sysconfig

paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
try:
    import site

    paths += site.getsitepackages()
except Exception:
    pass

# Importing the modules that bring shared libraries shows where those libraries are.
for name in ("ssl", "ctypes", "zlib", "bz2", "lzma", "sqlite3", "_decimal", "readline"):
    try:
        __import__(name)
    except ImportError:
        pass
libraries = []
try:
    with open("/proc/self/maps") as maps:
        libraries = sorted({line.split(None, 5)[5].strip() for line in maps if "r-xp" in line and "/" in line})
except OSError:
    pass

for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        pass

json.dump(
    {
        "minor": sys.version_info[1],
        "version": "%d.%d.%d" % sys.version_info[:3],
        "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
        "prefix": os.path.realpath(sys.base_prefix),
        "paths": sorted({p for p in paths if p and os.path.isdir(p)}),
        "libraries": [p for p in libraries if os.path.isfile(p)],
        "modules": sorted({name.partition(".")[0] for name in sys.modules} - {"__main__"}),
        "sdk": importlib.util.find_spec("boto3") is not None,
    },
    sys.stdout,
)
