// Package cfn is the deployment engine under CloudFormation: what a resource type is, and the executor that turns the difference between
// two templates into creations, updates, replacements and deletions, with rollback.
//
// An operation goes through phases (state.go): forward, then cleanup; or back, then cleanup; or the removal of everything. Each step
// of a phase deals with one resource in one transaction, which also changes the stack's record, so that a process may die at any
// instant. A Planner (plan.go) says beforehand what an operation would do and refuses what cannot be done. The package stores nothing
// itself: it works on a Stack, a Journal and Exports that the CloudFormation service keeps.
//
// Resource types live with the service that owns them (its resources.go); this package knows none of them.
package cfn

import (
	"context"
	"reflect"
)

// Request is what a resource type is asked to act on. Its context carries a Call in the stack's account and region and runs in the
// transaction that also records the outcome in the stack: what a resource type writes through services' clients commits together
// with the stack's knowledge of it.
type Request struct {
	StackID   string
	StackName string
	LogicalID string
	// PhysicalID is what Ref returns; empty in Create.
	PhysicalID string
	// Attributes are those that Create or the last Update returned; nil in Create.
	Attributes map[string]any
	// GeneratedName is a name for a resource whose template gives none: stack name, logical id and a random part, at most 64
	// characters. It is the same each time a Create is run again.
	GeneratedName string
	// Tags are the stack's.
	Tags map[string]string
}

// Result is what a resource type did.
type Result struct {
	// PhysicalID is what Ref returns. It is unique among the resources of its type in the account and region, or in what Within names: the
	// executor refuses one that another resource of a stack already has.
	PhysicalID string
	// Within is the id of what the resource is a part of, where its own is unique only there: the API of a stage. Update leaves it empty.
	Within string
	// Attributes are what Fn::GetAtt returns, by attribute name; nested ones are spelled with dots.
	Attributes map[string]any
}

// ResourceType is one CloudFormation resource type. Make it with Resource.
type ResourceType struct {
	// Type is the CloudFormation name: "AWS::SQS::Queue".
	Type string
	// Properties lists those that the type has, in the order of its struct: for pages and tools.
	Properties func() []Property
	// Check decodes properties that may still hold unresolved intrinsic values and reports those that croft does not have,
	// before anything is created.
	Check func(properties map[string]any) error
	// Replaces reports whether going from old to new needs a new resource.
	Replaces func(old, new map[string]any) bool
	Create   func(ctx context.Context, r *Request, properties map[string]any) (*Result, error)
	Update   func(ctx context.Context, r *Request, old, new map[string]any) (*Result, error)
	Delete   func(ctx context.Context, r *Request, properties map[string]any) error
}

// Property is one property of a resource type.
type Property struct {
	Name string
	// Required properties must be given; a change of one that Replaces needs a new resource.
	Required, Replaces bool
	// Parts are the properties of a structure, or of the structures in a list.
	Parts []Property
}

// Spec is a resource type whose properties are the struct T. Fields carry the tag `cfn:"PropertyName"`, with ",required" where
// the template must give them and ",replace" where a change needs a new resource. A property that T does not have is refused by name.
type Spec[T any] struct {
	Create func(ctx context.Context, r *Request, p *T) (*Result, error)
	// Update changes the resource in place. When it is nil every change replaces.
	Update func(ctx context.Context, r *Request, old, new *T) (*Result, error)
	// Delete removes the resource. One that is already gone is no error.
	Delete func(ctx context.Context, r *Request, p *T) error
}

// Resource makes a ResourceType of a Spec.
func Resource[T any](name string, s Spec[T]) ResourceType {
	decode := func(properties map[string]any) (*T, error) {
		p := new(T)
		return p, Decode(name, properties, p)
	}
	rt := ResourceType{
		Type:       name,
		Properties: func() []Property { return propertiesOf(reflect.TypeFor[T](), s.Update == nil) },
		Check:      func(properties map[string]any) error { return check(name, properties, reflect.TypeFor[T]()) },
		Replaces: func(old, new map[string]any) bool {
			return s.Update == nil || replaces(old, new, reflect.TypeFor[T]())
		},
		Create: func(ctx context.Context, r *Request, properties map[string]any) (*Result, error) {
			p, err := decode(properties)
			if err != nil {
				return nil, err
			}
			return s.Create(ctx, r, p)
		},
		Delete: func(ctx context.Context, r *Request, properties map[string]any) error {
			p, err := decode(properties)
			if err != nil {
				return err
			}
			return s.Delete(ctx, r, p)
		},
	}
	if s.Update != nil {
		rt.Update = func(ctx context.Context, r *Request, old, new map[string]any) (*Result, error) {
			before, err := decode(old)
			if err != nil {
				return nil, err
			}
			after, err := decode(new)
			if err != nil {
				return nil, err
			}
			return s.Update(ctx, r, before, after)
		}
	}
	return rt
}

// Tag is an element of the usual Tags property.
type Tag struct {
	Key   string `cfn:"Key,required"`
	Value string `cfn:"Value,required"`
}

// TagMap returns tags as a map, those of the stack first.
func TagMap(stack map[string]string, tags []Tag) map[string]string {
	if len(stack)+len(tags) == 0 {
		return nil
	}
	out := make(map[string]string, len(stack)+len(tags))
	for k, v := range stack {
		out[k] = v
	}
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}
