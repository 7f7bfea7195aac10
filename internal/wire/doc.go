// Package wire knows AWS's protocols and nothing of any service: it finds the operation that an HTTP request names, decodes and
// validates its input, and encodes its output or error, all driven by the static tables that apigen makes of the services' models.
//
// The server calls Match, then Decode, then Encode or EncodeError on what it returns. In-process callers use Validate alone.
//
// Values travel as the Go structs of internal/awsapi: required scalars are plain values, optional ones pointers, structures
// pointers, lists slices, maps Go maps, blobs byte slices. A nil slice or map is absent; an empty one is present and empty.
package wire
