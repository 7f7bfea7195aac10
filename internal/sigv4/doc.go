// Package sigv4 reads, verifies and makes AWS signatures of version 4, in the Authorization header and in presigned URLs.
//
// Source of the rules: the IAM User Guide, "AWS Signature Version 4 for API requests", and the S3 API reference, "Authenticating
// requests". Messages are AWS's own, as published. The package does no I/O and keeps nothing but a bounded cache of derived keys.
package sigv4
