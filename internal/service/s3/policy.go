package s3

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxPolicy bounds a bucket's policy, in bytes. Source: S3 User Guide, "Policies and permissions in Amazon S3".
const maxPolicy = 20 << 10

func malformedPolicy(what string) *cloud.Error { return cloud.Errorf("MalformedPolicy", "%s", what) }

// texts is a string or a list of them, as policies have them.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// statement is what is looked at of a policy's statement.
type statement struct {
	Effect                                   string
	Principal, NotPrincipal                  json.RawMessage
	Action, NotAction, Resource, NotResource texts
	Condition                                json.RawMessage
	Sid                                      string
}

// checkPolicy reports what is wrong with the form of a bucket's policy, and whether it lets everybody in. Sources: IAM User Guide, "IAM JSON
// policy elements reference"; S3 User Guide, "The meaning of public".
func checkPolicy(bucket, text string) (public bool, err error) {
	if len(text) > maxPolicy {
		return false, malformedPolicy("Policies must not be larger than 20480 bytes")
	}
	if !json.Valid([]byte(text)) || !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return false, malformedPolicy("Policies must be valid JSON and the first byte must be '{'")
	}
	var p struct {
		Version   *string
		Statement json.RawMessage
		ID        string `json:"Id"`
	}
	if json.Unmarshal([]byte(text), &p) != nil {
		return false, malformedPolicy("Policy has invalid syntax")
	}
	if p.Version != nil && *p.Version != "2012-10-17" && *p.Version != "2008-10-17" {
		return false, malformedPolicy("The policy must contain a valid version string")
	}
	if p.Statement == nil {
		return false, malformedPolicy("Missing required field Statement")
	}
	var all []statement
	if json.Unmarshal(p.Statement, &all) != nil {
		all = make([]statement, 1)
		if json.Unmarshal(p.Statement, &all[0]) != nil {
			return false, malformedPolicy("Policy has invalid syntax")
		}
	}
	for i := range all {
		if err := all[i].check(bucket); err != nil {
			return false, err
		}
		public = public || all[i].public()
	}
	return public, nil
}

func (s *statement) check(bucket string) error {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return malformedPolicy("Invalid effect: " + s.Effect)
	case s.Principal == nil && s.NotPrincipal == nil:
		return malformedPolicy("Missing required field Principal")
	case len(s.Action) == 0 && len(s.NotAction) == 0:
		return malformedPolicy("Missing required field Action")
	case len(s.Resource) == 0 && len(s.NotResource) == 0:
		return malformedPolicy("Missing required field Resource")
	}
	for _, a := range slices.Concat(s.Action, s.NotAction) {
		if a != "*" && !strings.HasPrefix(strings.ToLower(a), "s3:") {
			return malformedPolicy("Policy has invalid action")
		}
	}
	for _, r := range slices.Concat(s.Resource, s.NotResource) {
		name, ok := strings.CutPrefix(r, arn(""))
		if name, _, _ = strings.Cut(name, "/"); !ok || name != bucket && !strings.ContainsAny(name, "*?") {
			return malformedPolicy("Policy has invalid resource")
		}
	}
	return nil
}

// public reports whether the statement lets everybody in without a condition.
func (s *statement) public() bool {
	if s.Effect != "Allow" || len(s.Condition) > 0 {
		return false
	}
	var who texts
	var by map[string]texts
	switch {
	case s.Principal == nil:
		return true // all but some
	case json.Unmarshal(s.Principal, &who) == nil:
		return slices.Contains(who, "*")
	case json.Unmarshal(s.Principal, &by) == nil:
		return slices.Contains(by["AWS"], "*")
	}
	return false
}

// PutBucketPolicy gives a bucket a policy. Nothing is decided by it yet, but that the public cannot be let in where that is blocked.
func (s *Service) PutBucketPolicy(ctx context.Context, in *api.PutBucketPolicyInput) (*api.PutBucketPolicyOutput, error) {
	public, err := checkPolicy(in.Bucket, in.Policy)
	if err != nil {
		return nil, err
	}
	err = s.set(ctx, in.Bucket, in.ExpectedBucketOwner, policySetting, in.Policy, func(r kv.Reader) error {
		block, err := readAccess(r, in.Bucket)
		if err == nil && public && block != nil && wire.Value(block.BlockPublicPolicy) {
			denied := *accessDenied()
			denied.Message = "User: " + cloud.CallOf(ctx).Principal.ARN + " is not authorized to perform: s3:PutBucketPolicy on resource: \"" + arn(in.Bucket) +
				"\" because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."
			return &denied
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return new(api.PutBucketPolicyOutput), nil
}

// GetBucketPolicy returns the bucket's policy as it was given.
func (s *Service) GetBucketPolicy(ctx context.Context, in *api.GetBucketPolicyInput) (*api.GetBucketPolicyOutput, error) {
	out := new(api.GetBucketPolicyOutput)
	has, err := s.setting(ctx, in.Bucket, in.ExpectedBucketOwner, policySetting, &out.Policy)
	if err == nil && !has {
		err = missing("NoSuchBucketPolicy", "The bucket policy does not exist", in.Bucket)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteBucketPolicy takes the bucket's policy away.
func (s *Service) DeleteBucketPolicy(ctx context.Context, in *api.DeleteBucketPolicyInput) (*api.DeleteBucketPolicyOutput, error) {
	if err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, policySetting, nil, nil); err != nil {
		return nil, err
	}
	return new(api.DeleteBucketPolicyOutput), nil
}
