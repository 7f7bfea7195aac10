// Package intercept runs a tool so that AWS's own host names lead to croft, whatever the tool hard-codes.
//
// The tool gets an HTTP(S) proxy on a loopback address and the certificate of an authority that exists for this one run. A connection to
// a host of AWS ends in the proxy, and its requests go to croft with their Host and signature as they are; nothing of it goes out. Whatever
// croft does not serve, croft refuses. A connection to any other host is tunnelled untouched, through the proxy that the user's own environment
// names, if it names one.
//
// Invariants:
//   - The authority's private key never leaves the process, and its certificate is good for the names of AWS alone (critical name constraints).
//   - No byte of a connection to a host of AWS, to its sign-in pages or to a metadata address leaves the machine.
//   - Only the user who started the tool can use the proxy: it asks for a token, or looks up whose the connection is.
//   - When Run returns, the proxy and all files are gone.
package intercept
