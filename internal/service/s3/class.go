package s3

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// classes are the storage classes in which an object can be read at once, in the order in which objects may go from one to another. They differ in
// nothing but their names here. Source: S3 User Guide, "Transitioning objects using Amazon S3 Lifecycle".
func classes() []string {
	return []string{
		api.StorageClassREDUCEDREDUNDANCY, api.StorageClassSTANDARD, api.StorageClassSTANDARDIA, api.StorageClassINTELLIGENTTIERING, api.StorageClassONEZONEIA,
		api.StorageClassGLACIERIR,
	}
}

// newClass returns the storage class that a request asks for, empty for the standard one. Archives are refused by name: what lies in one must be
// restored before it can be read.
func newClass(operation string, asked *string) (string, error) {
	switch c := wire.Value(asked); {
	case asked == nil || c == api.StorageClassSTANDARD:
		return "", nil
	case slices.Contains(classes(), c):
		return c, nil
	case c == api.StorageClassGLACIER || c == api.StorageClassDEEPARCHIVE:
		return "", notImplemented(operation, "x-amz-storage-class", c)
	default:
		return "", with(cloud.Errorf("InvalidStorageClass", "The storage class you specified is not valid"), "StorageClassRequested", shortText(c))
	}
}

// shownClass is how answers about an object say its class: the standard one goes without saying.
func shownClass(class string) *string {
	if class == "" {
		return nil
	}
	return &class
}

// minTransition is the size below which objects stay in their class, in bytes, unless a rule has a size of its own. Source: S3 User Guide,
// "Constraints and considerations for transitions".
const minTransition = 128 << 10

// checkTransitions checks where a rule sends objects.
func checkTransitions(list []api.Transition) error {
	const op = "PutBucketLifecycleConfiguration"
	for i := range list {
		t := &list[i]
		class := wire.Value(t.StorageClass)
		switch {
		case (t.Days == nil) == (t.Date == nil), !inModel("TransitionStorageClass", class):
			return malformedXML()
		case !slices.Contains(classes(), class):
			return notImplemented(op, "Transition.StorageClass", class)
		case t.Days != nil && *t.Days < 0:
			return cloud.Errorf("InvalidArgument", "'Days' in Transition action must be nonnegative")
		case t.Days != nil && *t.Days < 30 && (class == api.StorageClassSTANDARDIA || class == api.StorageClassONEZONEIA):
			return cloud.Errorf("InvalidArgument", "'Days' in Transition action must be greater than or equal to 30 for storageClass '%s'", class)
		case t.Date != nil && !t.Date.Equal(t.Date.Truncate(day)):
			return cloud.Errorf("InvalidArgument", "'Date' must be at midnight GMT")
		case slices.ContainsFunc(list[:i], func(other api.Transition) bool { return wire.Value(other.StorageClass) == class }):
			return cloud.Errorf("InvalidRequest", "'StorageClass' must be different for 'Transition' actions in same 'Rule' with prefix")
		}
	}
	return nil
}

// transition returns the class in which a current object is to be by the rules, which is its own if there is nothing to do.
func (e *expiry) transition(key string, o *object) string {
	order := classes()
	best := slices.Index(order, o.class())
	for i := range e.rules {
		r := &e.rules[i]
		c := criteriaOf(r)
		if len(r.Transitions) == 0 || !c.match(key, o) || c.above == nil && o.Size < minTransition {
			continue
		}
		for _, t := range r.Transitions {
			if t.Days != nil && due(o.Modified, *t.Days, e.now) || t.Date != nil && !t.Date.After(e.now) {
				best = max(best, slices.Index(order, *t.StorageClass))
			}
		}
	}
	if best < 0 || order[best] == api.StorageClassSTANDARD {
		return o.Class
	}
	return order[best]
}

// expiration returns when the rules of a bucket end a current object, as answers say it, or nil. Source: S3 API Reference, x-amz-expiration.
func (b *bucket) expiration(r kv.Reader, at name, o *object) (*string, error) {
	if !b.Expires || o == nil {
		return nil, nil
	}
	var c lifecycle
	if has, err := readSetting(r, at.bucket, lifecycleSetting, &c); err != nil || !has {
		return nil, err
	}
	var first time.Time
	id := ""
	for i := range c.Rules {
		rule := &c.Rules[i]
		which, x := criteriaOf(rule), rule.Expiration
		if rule.Status != api.ExpirationStatusEnabled || x == nil || x.Days == nil && x.Date == nil || !which.match(at.key, o) {
			continue
		}
		end := wire.Value(x.Date)
		if x.Days != nil {
			end = dueAt(o.Modified, *x.Days)
		}
		if first.IsZero() || end.Before(first) {
			first, id = end, wire.Value(rule.ID)
		}
	}
	if first.IsZero() {
		return nil, nil
	}
	return wire.Ptr(fmt.Sprintf(`expiry-date="%s", rule-id="%s"`, first.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), url.QueryEscape(id))), nil
}
