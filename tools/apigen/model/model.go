// Package model reads AWS service models in botocore's format, corrects them with croft's patches, and keeps what the listed
// operations reach.
//
// Patches are JSON Patch operations (add, replace, remove), each with its reason. Beside the models' own keys they may set croft's:
//
//	/metadata/croftValidation        how invalid input is reported: the fields of wire.Validation; required
//	/metadata/croftErrorPrefix       the namespace of error names in __type
//	/metadata/croftCRC32             answers carry x-amz-crc32
//	/metadata/croftWording           how JSON of the wrong type is reported: the name of a wire.Wording
//	/metadata/croftPathMember        the member that a query request may leave to its URL
//	/operations/OP/croftContentType  the content type of an answer whose body is a blob
//	/shapes/SHAPE/croftPattern       the shape's pattern in Go's syntax; messages keep the model's
//	/shapes/SHAPE/croftOrARN         true for names in whose place the ARN may stand, to which limits and pattern do not apply
//	/shapes/SHAPE/croftFirst         the member of an input that is checked before everything else
//	/shapes/SHAPE/type               "streamed" for a blob whose operations read it while it travels
//	/shapes/SHAPE/error/queryCode    an error's code for older clients
package model

import (
	"fmt"
	"sort"
	"strings"
)

// Service is a service's model.
type Service struct {
	// Name is botocore's folder name, which is also the name of the generated package.
	Name       string
	Meta       Meta
	Operations []*Operation // the listed ones, by name
	Others     []*Operation // the rest, by name, without shapes
	Shapes     []*Shape     // those that Operations reach, by name
	Errors     []*Shape     // the error shapes among Shapes, by name
}

// Meta is the model's metadata.
type Meta struct {
	ServiceID, SigningName, EndpointPrefix, TargetPrefix string
	JSONVersion, XMLNamespace, APIVersion                string
	ErrorPrefix                                          string
	Protocols                                            []string
	QueryCompatible, CRC32, S3Rules                      bool
	Wording, PathMember                                  string
	Validation                                           Validation
}

// Validation mirrors wire.Validation.
type Validation struct {
	Code, QueryCode, Missing, MissingQuery, MissingFormat string
	Off                                                   []string
	HideValues                                            bool
}

// Operation is one operation.
type Operation struct {
	Name, Method, URI string
	Status            int64
	Input, Output     *Shape // nil for none
	ContentType       string // of a raw body in the answer, where a patch gives it
	// Headers, Root and Unwrapped are what patches say of REST XML: see wire.Route and wire.Operation.
	// HostPrefix is what SDKs put before the endpoint's name.
	HostPrefix string
	Headers    []string
	Root       string
	Unwrapped  bool
	Errors     []*Shape
}

// Shape is one shape. Structures that are only one operation's input or output bear that operation's name.
type Shape struct {
	Name, GoName      string
	Type              string
	Members           []Member
	Elem, Key         *Shape
	ElemName, KeyName string
	Flat, Sensitive   bool
	HasMin, HasMax    bool
	Min, Max          int64
	Pattern           string
	GoPattern         string // the same in Go's syntax, where a patch gives it
	OrARN             bool
	First             string
	Enum              []string
	TimeFormat        string
	Payload           string
	// Events is the member that is an event stream; Exceptions are the errors that end one.
	Events     string
	Exceptions []Member
	Error      *Error
	// Index is the shape's place in the generated table.
	Index int
	// Checked is set when the shape or one below it has something to validate.
	Checked bool
}

// Error is an error shape's trait.
type Error struct {
	Code, QueryCode string
	Status          int64
}

// Member is one member of a structure.
type Member struct {
	Name, GoName, Wire, Location string
	Shape                        *Shape
	Required, Flat, Attribute    bool
}

// Export returns the exported Go name for a model's name.
func Export(name string) string {
	name = strings.TrimLeft(name, "_")
	if name == "" {
		return "X"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func (r *reader) operation(name string) (*Operation, error) {
	n := r.root.get("operations", name)
	if n == nil {
		return nil, fmt.Errorf("the model has no operation %s", name)
	}
	op := &Operation{
		Name: name, Method: n.str("http", "method"), URI: n.str("http", "requestUri"), ContentType: n.str("croftContentType"),
		HostPrefix: n.str("endpoint", "hostPrefix"), Headers: n.strings("croftHeaders"), Root: n.str("croftRoot"), Unwrapped: n.flag("croftUnwrapped"),
	}
	status, ok, err := n.number("http", "responseCode")
	if err != nil {
		return nil, err
	}
	if op.Status = status; !ok {
		op.Status = 200
	}
	return op, nil
}

// shapesOf reads the shapes that op reaches.
func (r *reader) shapesOf(op *Operation) error {
	n := r.root.get("operations", op.Name)
	var err error
	if in := n.str("input", "shape"); in != "" {
		if op.Input, err = r.shape(in); err != nil {
			return err
		}
	}
	if out := n.str("output", "shape"); out != "" {
		if op.Output, err = r.shape(out); err != nil {
			return err
		}
	}
	errs := n.get("errors")
	for i := 0; errs != nil && i < len(errs.items); i++ {
		s, err := r.shape(errs.items[i].str("shape"))
		if err != nil {
			return err
		}
		op.Errors = append(op.Errors, s)
	}
	sort.Slice(op.Errors, func(i, j int) bool { return op.Errors[i].Name < op.Errors[j].Name })
	return nil
}
