// Package engine runs functions: it takes invocations to execution environments and answers with what the function answered.
//
// An environment is one sandboxed process (package sandbox) with the function's code (package bundle), a language's bootstrap
// (package runtimes) and a Runtime API of its own (package runtimeapi). It serves one invocation at a time and is reused. A pool holds
// the environments of one revision of one function version; a new revision retires the environments of the old one.
//
// Two sorts of failure are kept apart. What the function did wrong (an exception, a timeout, an exit) is a Result with
// FunctionError set and Lambda's own error document as its payload. What the platform could not do (no interpreter, no
// isolation on this machine, no free environment) is an error, a *cloud.Error whose message says what to do next.
package engine
