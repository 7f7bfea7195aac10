// Package httpevent is what AWS's HTTP front doors for functions have in common: the event that a request becomes, the answer that a function's
// result becomes, and the CORS headers around it. HTTP APIs of API Gateway and function URLs of Lambda both speak payload format 2.0.
//
// Everything here is a value made of values: no I/O, no state.
package httpevent
