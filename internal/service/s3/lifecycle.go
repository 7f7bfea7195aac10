package s3

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
	"croft/internal/wire"
)

const (
	lifecycleSetting = "lifecycle"
	lifecycleHandler = "s3.lifecycle"
	// maxLifecycleRules bounds a configuration. Source: S3 API Reference, PutBucketLifecycleConfiguration.
	maxLifecycleRules = 1000
	day               = 24 * time.Hour
)

// lifecycle is the row of a bucket's lifecycle.
type lifecycle struct {
	Rules   []api.LifecycleRule `json:"rules"`
	Minimum string              `json:"minimum"`
}

// criteria are which objects a rule is for.
type criteria struct {
	prefix        string
	tags          []api.Tag
	above, below  *int64
	tagged, sized bool
}

// criteriaOf reads a rule's filter, of which the older form is a prefix alone.
func criteriaOf(r *api.LifecycleRule) criteria {
	c := criteria{prefix: wire.Value(r.Prefix)}
	f := r.Filter
	if f == nil {
		return c
	}
	c.prefix, c.above, c.below = wire.Value(f.Prefix), f.ObjectSizeGreaterThan, f.ObjectSizeLessThan
	if f.Tag != nil {
		c.tags = []api.Tag{*f.Tag}
	}
	if f.And != nil {
		c.prefix, c.above, c.below, c.tags = wire.Value(f.And.Prefix), f.And.ObjectSizeGreaterThan, f.And.ObjectSizeLessThan, f.And.Tags
	}
	c.tagged, c.sized = len(c.tags) > 0, c.above != nil || c.below != nil
	return c
}

// match reports whether the rule is for a version. Delete markers have neither tags nor a size.
func (c *criteria) match(key string, o *object) bool {
	if !strings.HasPrefix(key, c.prefix) || o.Marker && (c.tagged || c.sized) {
		return false
	}
	for _, t := range c.tags {
		if !slices.Contains(o.Tags, t) {
			return false
		}
	}
	return (c.above == nil || o.Size > *c.above) && (c.below == nil || o.Size < *c.below)
}

// due reports whether so many days have passed since a time, rounded up to the next midnight. Source: S3 User Guide, "Lifecycle rules: based on an
// object's age".
func due(since time.Time, days int32, now time.Time) bool {
	return !dueAt(since, days).After(now)
}

func dueAt(since time.Time, days int32) time.Time {
	at := since.Add(time.Duration(days) * day)
	if rounded := at.Truncate(day); !rounded.Equal(at) {
		at = rounded.Add(day)
	}
	return at
}

func checkLifecycle(rules []api.LifecycleRule) error {
	if len(rules) == 0 || len(rules) > maxLifecycleRules {
		return malformedXML()
	}
	seen := map[string]bool{}
	for i := range rules {
		r := &rules[i]
		switch {
		case r.ID == nil || *r.ID == "":
			r.ID = wire.Ptr(cloud.NewRequestID())
		case len(*r.ID) > 255:
			return cloud.Errorf("InvalidArgument", "ID length should not exceed allowed limit of 255")
		case seen[*r.ID]:
			return cloud.Errorf("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule")
		}
		seen[*r.ID] = true
		if err := checkLifecycleRule(r); err != nil {
			return err
		}
	}
	return nil
}

func checkLifecycleRule(r *api.LifecycleRule) error {
	const op = "PutBucketLifecycleConfiguration"
	c := criteriaOf(r)
	switch {
	case len(r.NoncurrentVersionTransitions) > 0:
		return notImplemented(op, "NoncurrentVersionTransition", "set")
	case r.Status != api.ExpirationStatusEnabled && r.Status != api.ExpirationStatusDisabled, (r.Prefix == nil) == (r.Filter == nil), !oneCriterion(r.Filter):
		return malformedXML()
	case len(r.Transitions) == 0 && r.Expiration == nil && r.NoncurrentVersionExpiration == nil && r.AbortIncompleteMultipartUpload == nil:
		return cloud.Errorf("InvalidRequest", "At least one action needs to be specified in a rule.")
	case r.AbortIncompleteMultipartUpload != nil && c.tagged:
		return cloud.Errorf("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags.")
	case r.AbortIncompleteMultipartUpload != nil && c.sized:
		return cloud.Errorf("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with ObjectSize.")
	case c.tagged && checkObjectTags(c.tags) != nil:
		return checkObjectTags(c.tags)
	case c.above != nil && c.below != nil && *c.above >= *c.below:
		return cloud.Errorf("InvalidRequest", "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
	}
	return checkActions(r, c)
}

func checkActions(r *api.LifecycleRule, c criteria) error {
	if err := checkTransitions(r.Transitions); err != nil {
		return err
	}
	positive := func(name, action string, n *int32) error {
		if n != nil && *n < 1 {
			return cloud.Errorf("InvalidArgument", "'%s' for %s action must be a positive integer", name, action)
		}
		return nil
	}
	if e := r.Expiration; e != nil {
		given := 0
		for _, is := range []bool{e.Days != nil, e.Date != nil, e.ExpiredObjectDeleteMarker != nil} {
			if is {
				given++
			}
		}
		switch {
		case given != 1:
			return malformedXML()
		case e.Date != nil && !e.Date.Equal(e.Date.Truncate(day)):
			return cloud.Errorf("InvalidArgument", "'Date' must be at midnight GMT")
		case e.ExpiredObjectDeleteMarker != nil && c.tagged:
			return cloud.Errorf("InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags.")
		}
		if err := positive("Days", "Expiration", e.Days); err != nil {
			return err
		}
	}
	if n := r.NoncurrentVersionExpiration; n != nil {
		if n.NoncurrentDays == nil {
			return malformedXML()
		}
		err := errors.Join(positive("NoncurrentDays", "NoncurrentVersionExpiration", n.NoncurrentDays),
			positive("NewerNoncurrentVersions", "NoncurrentVersionExpiration", n.NewerNoncurrentVersions))
		if err != nil {
			return err
		}
	}
	if a := r.AbortIncompleteMultipartUpload; a != nil {
		if a.DaysAfterInitiation == nil {
			return malformedXML()
		}
		return positive("DaysAfterInitiation", "AbortIncompleteMultipartUpload", a.DaysAfterInitiation)
	}
	return nil
}

// oneCriterion reports whether a filter has at most one criterion; several stand below And.
func oneCriterion(f *api.LifecycleRuleFilter) bool {
	if f == nil {
		return true
	}
	given := 0
	for _, is := range []bool{f.Prefix != nil, f.Tag != nil, f.ObjectSizeGreaterThan != nil, f.ObjectSizeLessThan != nil, f.And != nil} {
		if is {
			given++
		}
	}
	return given <= 1
}

// PutBucketLifecycleConfiguration says what becomes of objects with time. The rules act every midnight.
func (s *Service) PutBucketLifecycleConfiguration(
	ctx context.Context, in *api.PutBucketLifecycleConfigurationInput,
) (*api.PutBucketLifecycleConfigurationOutput, error) {
	row := &lifecycle{Minimum: api.TransitionDefaultMinimumObjectSizeAllStorageClasses128K}
	if in.TransitionDefaultMinimumObjectSize != nil {
		row.Minimum = *in.TransitionDefaultMinimumObjectSize
	}
	if !inModel("TransitionDefaultMinimumObjectSize", row.Minimum) {
		return nil, cloud.Errorf("InvalidRequest", "Invalid TransitionDefaultMinimumObjectSize found: %.64s", row.Minimum)
	}
	if in.LifecycleConfiguration == nil {
		return nil, malformedXML()
	}
	row.Rules = in.LifecycleConfiguration.Rules
	if err := checkLifecycle(row.Rules); err != nil {
		return nil, err
	}
	if err := s.setLifecycle(ctx, in.Bucket, in.ExpectedBucketOwner, row); err != nil {
		return nil, err
	}
	return &api.PutBucketLifecycleConfigurationOutput{TransitionDefaultMinimumObjectSize: &row.Minimum}, nil
}

// setLifecycle writes a lifecycle and the timer that acts on it, or removes both when it is nil.
func (s *Service) setLifecycle(ctx context.Context, bucket string, owner *string, c *lifecycle) error {
	return s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, bucket, owner)
		if err != nil {
			return err
		}
		if b.Expires != (c != nil) {
			b.Expires = c != nil
			if err := write(tx, bucket, b); err != nil {
				return err
			}
		}
		t := timer.Timer{Handler: lifecycleHandler, ID: bucket, Account: b.Account, Region: b.Region, Due: midnight(cloud.CallOf(ctx).Now)}
		if c == nil {
			return errors.Join(tx.Delete(settingKey(bucket, lifecycleSetting)), s.deps.Timers.Cancel(ctx, t))
		}
		data, err := json.Marshal(c)
		if err != nil {
			return err
		}
		return errors.Join(tx.Put(settingKey(bucket, lifecycleSetting), data), s.deps.Timers.Set(ctx, t))
	})
}

// midnight is the next one.
func midnight(now time.Time) time.Time { return now.UTC().Truncate(day).Add(day) }

// GetBucketLifecycleConfiguration returns the bucket's rules.
func (s *Service) GetBucketLifecycleConfiguration(
	ctx context.Context, in *api.GetBucketLifecycleConfigurationInput,
) (*api.GetBucketLifecycleConfigurationOutput, error) {
	var c lifecycle
	has, err := s.setting(ctx, in.Bucket, in.ExpectedBucketOwner, lifecycleSetting, &c)
	if err == nil && !has {
		err = missing("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", in.Bucket)
	}
	if err != nil {
		return nil, err
	}
	return &api.GetBucketLifecycleConfigurationOutput{Rules: c.Rules, TransitionDefaultMinimumObjectSize: &c.Minimum}, nil
}

// DeleteBucketLifecycle takes the rules away.
func (s *Service) DeleteBucketLifecycle(ctx context.Context, in *api.DeleteBucketLifecycleInput) (*api.DeleteBucketLifecycleOutput, error) {
	if err := s.setLifecycle(ctx, in.Bucket, in.ExpectedBucketOwner, nil); err != nil {
		return nil, err
	}
	return new(api.DeleteBucketLifecycleOutput), nil
}
