package wire

import "context"

// Kind is what sort of value a shape describes.
type Kind uint8

// The kinds of shapes. The zero value is none.
const (
	NoKind Kind = iota
	Structure
	List
	Map
	String
	Blob
	Boolean
	Integer
	Long
	Float
	Double
	Timestamp
	Document
	// Streamed is a blob that is read while it travels: a *Stream in Go. It is always a whole body.
	Streamed
	// EventStream is a union of events, whose members are structures: an Events in Go.
	EventStream
)

// Ref is a shape's index in its Schema. Shapes refer to each other by index and not by pointer so that recursive shapes can be
// static tables, which cost nothing at start-up.
type Ref uint16

// NoRef is the Ref of no shape: the output of an operation that answers nothing.
const NoRef Ref = 0

// Schema holds the shapes of one service. Shapes[0] is unused: it is what NoRef names.
type Schema struct {
	Shapes []Shape
	// Validation says how the service reports input that breaks a constraint.
	Validation Validation
	// Wording says how it reports JSON of the wrong type.
	Wording Wording
}

// Shape returns the shape that r names.
func (s *Schema) Shape(r Ref) *Shape { return &s.Shapes[r] }

// Shape is one shape of a service's model.
type Shape struct {
	Name string
	Kind Kind
	// Members are a structure's members. Member i is field i of the Go struct.
	Members []Member
	// Elem is a list's element or a map's value, Key a map's key.
	Elem, Key Ref
	// ElemName and KeyName are the XML and query names of Elem and Key; empty means the protocol's own.
	ElemName, KeyName string
	// Flat lists and maps have no element of their own in XML and query.
	Flat    bool
	Limits  *Limits
	Pattern *Pattern
	Enum    []string
	Time    TimeFormat
	// Payload is one more than the index of the member that is a REST message's whole body; zero means that the body holds all
	// members that lie nowhere else.
	Payload int
	// Events is one more than the index of the member that is an event stream; zero means that there is none.
	Events int
	// Exceptions are the errors that an event stream may end with.
	Exceptions []Member
	// OrARN strings may be the ARN of what they name, to which neither limits nor pattern apply.
	OrARN bool
	// First is one more than the index of the member of an input that is checked before everything else; zero means that there is none.
	First int
	// Checked is set when the shape or one that it reaches has something to validate.
	Checked bool
	// Sensitive values never appear in messages.
	Sensitive bool
	// Error is set for shapes that are errors.
	Error *ErrorTrait
}

// written reports whether member i belongs into the document of an RPC protocol: all do but streams,
// and what are headers of an event.
func (s *Shape) written(i int) bool { return s.Events != i+1 && s.Members[i].In != InEventHeader }

// Limits bound a string's length in characters, a blob's in bytes, a collection's size, or a number's value.
type Limits struct {
	Min, Max       int64
	HasMin, HasMax bool
}

// ErrorTrait says how an error shape looks on the wire.
type ErrorTrait struct {
	Code      string
	QueryCode string
	Status    int
}

// Member is one member of a structure.
type Member struct {
	// Name is the model's name, Wire the name outside JSON-RPC: of the XML element, form parameter, header, or REST JSON key.
	Name, Wire string
	Shape      Ref
	Required   bool
	// Flat is set where the member or its shape is flattened.
	Flat bool
	In   Location
	// Attribute members are attributes of their structure's element in REST XML.
	Attribute bool
}

// Location is where a REST protocol carries a member.
type Location uint8

// The locations of members.
const (
	InBody Location = iota
	InHeader
	// InHeaders is a map of headers that share a prefix.
	InHeaders
	InQuery
	InURI
	InStatus
	// InEventHeader members are headers of the message that is an event.
	InEventHeader
)

// TimeFormat is how a timestamp is written; Default leaves it to the protocol and location.
type TimeFormat uint8

// The formats of timestamps.
const (
	DefaultTime TimeFormat = iota
	UnixTime
	ISOTime
	HTTPTime
)

// Protocol is one of the ways an AWS service speaks.
type Protocol uint8

// The protocols that AWS models name. Match refuses those that this package does not speak.
const (
	AWSJSON Protocol = iota + 1
	Query
	EC2Query
	RESTJSON
	RESTXML
	RPCv2CBOR
)

// Service describes one service: what its model says, and what croft adds to it.
type Service struct {
	// Name is the service's name in croft, its API package and botocore: "sqs".
	Name           string
	ServiceID      string
	SigningName    string
	EndpointPrefix string
	TargetPrefix   string
	// JSONVersion is "1.0" or "1.1" for services that speak awsJson.
	JSONVersion  string
	XMLNamespace string
	APIVersion   string
	// Protocols are the ways to call it, the preferred one first.
	Protocols []Protocol
	// QueryCompatible services carry the older error codes in the header x-amzn-query-error.
	QueryCompatible bool
	// ErrorPrefix stands before the error's name in __type: "com.amazonaws.sqs#".
	ErrorPrefix string
	// PathMember, when set, is the member that a query request may leave to its own URL: SQS's QueueUrl.
	PathMember string
	// CRC32 services send the header x-amz-crc32.
	CRC32 bool
	// S3Rules services differ from other REST XML services as S3 does: see s3rules.go.
	S3Rules bool
	// Operations are those that croft knows in full, by name.
	Operations []*Operation
	// Others are the rest of the model's operations, by name: enough to name them in the answer that refuses them.
	Others []OtherOperation
	// Errors are the error shapes that Operations name, by code.
	Errors []Ref
	Schema *Schema
}

// Operation describes one operation. Operations are static tables; do not change them.
type Operation struct {
	Name   string
	Route  Route
	Status int
	// HostPrefix is what SDKs put before the endpoint's name for this operation alone: "stream-". It may hold a label of the input.
	HostPrefix string
	// Input and Output name structures of Schema; NoRef means one without members, which the model does not have.
	Input, Output Ref
	Schema        *Schema
	// ContentType is that of an answer whose body is a blob; empty means application/octet-stream.
	ContentType string
	// Root is the name of the element that a REST XML answer consists of; empty means the output's own. Unwrapped answers consist of
	// the element of their one member.
	Root      string
	Unwrapped bool
	// New returns a pointer to a new input structure.
	New func() any
	// Invoke calls the operation's method on api, which implements the service's API interface, and returns a pointer to the
	// output structure.
	Invoke func(ctx context.Context, api, in any) (any, error)
}

// OtherOperation is an operation of the model that croft does not know in full.
type OtherOperation struct {
	Name       string
	Route      Route
	HostPrefix string
}

// Route is an operation's HTTP method and path. A Segment that is "{Name}" takes one path segment, "{Name+}" one or more.
type Route struct {
	Method   string
	Segments []string
	// Query holds the literal query parameters that belong to the route, "name" or "name=value".
	Query []string
	// Headers names the headers that the request must have: what tells CopyObject from PutObject.
	Headers []string
}

// Caller makes calls for the generated clients. The dispatcher implements it: validation, authorisation and the service's own
// method, without HTTP. The result is a pointer to the operation's output structure.
type Caller interface {
	Call(ctx context.Context, svc *Service, op *Operation, in any) (any, error)
}

// Wording is how a service words a JSON value of the wrong type.
type Wording uint8

// The wordings.
const (
	CommonWords Wording = iota
	DynamoWords
)
