package runtimes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Defaults of variables that an interpreter, or a module that is loaded ahead, reads when it starts.
const (
	defaultLang = "en_US.UTF-8"
	defaultTZ   = ":UTC"
	defaultHome = "/tmp"
)

const wrapperVar = "AWS_LAMBDA_EXEC_WRAPPER"

// maxLook bounds how many files of a package are looked at; a larger one starts with nothing of the SDK loaded.
const maxLook = 50_000

// sdkModules are what boto3 is made of, and what its parts look for, with other consequences when it is there.
func sdkModule(name string) bool {
	switch name {
	case "boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3", "awscrt", "certifi", "brotli", "brotlicffi", "zstandard", "backports",
		"compression", "h2", "socks", "OpenSSL", "cryptography", "chardet", "charset_normalizer", "idna", "simplejson", "_brotli":
		return true
	}
	return false
}

// start says from what a function with these variables, whose code and layers lie in these folders, may start.
func start(env map[string]string, code, layers string, preloaded func(module string) bool) (string, error) {
	byEnv := startOf(env)
	if byEnv == startFresh {
		return startFresh, nil
	}
	byCode, err := inspect(code, layers, preloaded)
	if err != nil || byEnv == startSDK || byCode == startFresh {
		return byCode, err
	}
	return startBare, nil
}

// startOf says from what a function with these variables may start.
func startOf(env map[string]string) string {
	start := startSDK
	for name, value := range env {
		switch {
		case name == wrapperVar && value != "":
			return startFresh
		case name == "TZ" && value != defaultTZ, name == "LANG" && value != defaultLang, name == "LANGUAGE", name == "LOCPATH", name == "GCONV_PATH":
			return startFresh
		}
		for _, prefix := range []string{"PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_", "OPENSSL_"} {
			if strings.HasPrefix(name, prefix) {
				return startFresh
			}
		}
		if name == "HOME" && value != defaultHome || name == "BOTO_DISABLE_CRT" {
			start = startBare
		}
	}
	return start
}

// looker looks through a package for what must not meet modules that are loaded already.
type looker struct {
	preloaded func(module string) bool
	start     string
	left      int
}

// inspect says from what a function whose code and layers lie in these folders may start.
func inspect(code, layers string, preloaded func(module string) bool) (string, error) {
	l := &looker{preloaded: preloaded, start: startSDK, left: maxLook}
	for _, dir := range []string{code, layers} {
		if dir == "" {
			continue
		}
		if err := l.folder(dir, true); err != nil && !errors.Is(err, fs.SkipAll) {
			return "", err
		}
	}
	for _, dir := range []string{code, filepath.Join(code, "lib"), filepath.Join(layers, "lib")} {
		if layers == "" && dir == "lib" {
			continue
		}
		found, err := libraries(dir)
		if err != nil {
			return "", err
		}
		if found {
			return startFresh, nil
		}
	}
	return l.start, nil
}

// folder looks at dir and what is below it. What lies in a Python package is a part of that package, and shadows nothing; what lies elsewhere may be put on the path
// by the function. The SDK counts everywhere.
func (l *looker) folder(dir string, root bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) && !root {
			return nil // what cannot be read cannot be imported
		}
		return err
	}
	if l.left -= len(entries); l.left < 0 {
		l.lower(startBare)
		return fs.SkipAll
	}
	part := false
	for _, e := range entries {
		part = part || !root && e.Name() == "__init__.py"
	}
	for _, e := range entries {
		if module, ok := moduleName(e); ok && (!part || module == "boto3" || module == "botocore") {
			l.module(module)
		}
		if l.start == startFresh {
			return fs.SkipAll
		}
		if e.IsDir() && e.Name() != "__pycache__" {
			if err := l.folder(filepath.Join(dir, e.Name()), false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *looker) module(name string) {
	switch {
	case sdkModule(name):
		l.lower(startBare)
	case name == "sitecustomize", name == "usercustomize", l.preloaded(name):
		l.lower(startFresh)
	}
}

func (l *looker) lower(start string) {
	if l.start != startFresh {
		l.start = start
	}
}

// moduleName returns the name of the module that a file or folder is.
func moduleName(e fs.DirEntry) (string, bool) {
	name, rest, dot := strings.Cut(e.Name(), ".")
	if e.IsDir() {
		return name, !dot
	}
	return name, rest == "py" || rest == "pyc" || strings.HasSuffix(rest, "so")
}

// libraries reports whether dir has shared libraries that are not Python's own kind: a process finds them by a variable that it reads when it starts.
func libraries(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "lib") && (strings.HasSuffix(e.Name(), ".so") || strings.Contains(e.Name(), ".so.")) {
			return true, nil
		}
	}
	return false, err
}
