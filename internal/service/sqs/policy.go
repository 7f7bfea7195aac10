package sqs

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// Limits of policies. Source: Amazon SQS Developer Guide, "Amazon SQS policy quotas".
const (
	maxActions    = 7
	maxPrincipals = 50
	maxStatements = 20
)

// policy is a queue's policy as AddPermission makes it. Its members stand in the order in which AWS writes them.
type policy struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}

type statement struct {
	Sid       string         `json:"Sid"`
	Effect    string         `json:"Effect"`
	Principal map[string]any `json:"Principal"`
	Action    any            `json:"Action"`
	Resource  string         `json:"Resource"`
}

// checkPolicy checks the form of a policy: known members, a version, and statements that have an effect, actions and a principal.
func checkPolicy(value string) error {
	invalid := invalidAttributeValue("Policy")
	var document struct {
		Version   *string
		Id        *string
		Statement json.RawMessage
	}
	if len(value) > maxPolicy || !strict(value, &document) {
		return invalid
	}
	if document.Version != nil && *document.Version != "2012-10-17" && *document.Version != "2008-10-17" {
		return invalid
	}
	statements, ok := listOf(document.Statement)
	if !ok {
		return invalid
	}
	if len(statements) > maxStatements {
		return sqs.NewOverLimit("%d statements were found in the submitted policy, max allowed is %d", len(statements), maxStatements).WithStatus(403)
	}
	for _, raw := range statements {
		var s struct {
			Sid, Effect             *string
			Principal, NotPrincipal json.RawMessage
			Action, NotAction       json.RawMessage
			Resource, NotResource   json.RawMessage
			Condition               map[string]json.RawMessage
		}
		if !strict(string(raw), &s) || s.Effect == nil || *s.Effect != "Allow" && *s.Effect != "Deny" {
			return invalid
		}
		if (s.Principal == nil) == (s.NotPrincipal == nil) || (s.Action == nil) == (s.NotAction == nil) {
			return invalid
		}
	}
	return nil
}

// strict decodes one JSON object that has no members but those of into.
func strict(value string, into any) bool {
	if !strings.HasPrefix(strings.TrimSpace(value), "{") {
		return false
	}
	d := json.NewDecoder(strings.NewReader(value))
	d.DisallowUnknownFields()
	return d.Decode(into) == nil && !d.More()
}

// listOf reads an array, or a single value in place of one.
func listOf(raw json.RawMessage) (list []json.RawMessage, ok bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, true
	}
	if raw[0] == '{' {
		return []json.RawMessage{raw}, true
	}
	return list, json.Unmarshal(raw, &list) == nil
}

// quoted returns s as a JSON string.
func quoted(s string) string { return string(plainJSON(s)) }

// plainJSON encodes v without escaping what only matters in web pages.
func plainJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return nil
	}
	return bytes.TrimSpace(b.Bytes())
}

// AddPermission adds a statement to the queue's policy that allows accounts to do something.
func (s *Service) AddPermission(ctx context.Context, in *sqs.AddPermissionInput) (*sqs.AddPermissionOutput, error) {
	if err := checkPermission(in); err != nil {
		return nil, err
	}
	err := s.changePolicy(ctx, in.QueueUrl, func(arn string, p *policy) error {
		if slices.ContainsFunc(p.Statement, func(raw json.RawMessage) bool { return sidOf(raw) == in.Label }) {
			return invalidValue(in.Label, "Label", "Already exists.")
		}
		if p.Version == "" {
			p.Version, p.ID = "2008-10-17", arn+"/SQSDefaultPolicy"
		}
		if len(p.Statement) >= maxStatements {
			return sqs.NewOverLimit("%d statements were found in the submitted policy, max allowed is %d", len(p.Statement)+1, maxStatements).WithStatus(403)
		}
		var principals, actions []string
		for _, account := range in.AWSAccountIds {
			principals = append(principals, "arn:aws:iam::"+account+":root")
		}
		for _, action := range in.Actions {
			actions = append(actions, "SQS:"+action)
		}
		p.Statement = append(p.Statement, plainJSON(statement{
			Sid: in.Label, Effect: "Allow", Principal: map[string]any{"AWS": oneOrMore(principals)}, Action: oneOrMore(actions), Resource: arn,
		}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sqs.AddPermissionOutput{}, nil
}

// checkPermission checks what a permission is made of.
func checkPermission(in *sqs.AddPermissionInput) error {
	if err := checkLabel(in.Label); err != nil {
		return err
	}
	switch {
	case len(in.Actions) == 0:
		return missingParameter("Actions")
	case len(in.AWSAccountIds) == 0:
		return missingParameter("AWSAccountIds")
	case len(in.Actions) > maxActions:
		return sqs.NewOverLimit("%d Actions were found, maximum allowed is %d.", len(in.Actions), maxActions).WithStatus(403)
	case len(in.AWSAccountIds) > maxPrincipals:
		return sqs.NewOverLimit("%d Principals were found, maximum allowed is %d.", len(in.AWSAccountIds), maxPrincipals).WithStatus(403)
	}
	known := []string{"*", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes", "GetQueueUrl",
		"ListDeadLetterSourceQueues", "PurgeQueue", "ListMessageMoveTasks"}
	for _, action := range in.Actions {
		if !slices.Contains(known, action) {
			return invalidValue("SQS:"+clip(action), "ActionName", "Please refer to the appropriate WSDL for a list of valid actions.")
		}
	}
	for _, account := range in.AWSAccountIds {
		if !cloud.IsAccount(account) {
			return invalidValue("["+clip(account)+"]", "PrincipalId", "Unable to verify.")
		}
	}
	return nil
}

func checkLabel(label string) error {
	if label == "" {
		return missingParameter("Label")
	}
	if len(label) > 80 || !allOf(label, isNameByte) {
		return invalidValue(clip(label), "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
	}
	return nil
}

// RemovePermission takes the statement with that label out of the queue's policy.
func (s *Service) RemovePermission(ctx context.Context, in *sqs.RemovePermissionInput) (*sqs.RemovePermissionOutput, error) {
	if err := checkLabel(in.Label); err != nil {
		return nil, err
	}
	err := s.changePolicy(ctx, in.QueueUrl, func(_ string, p *policy) error {
		before := len(p.Statement)
		p.Statement = slices.DeleteFunc(p.Statement, func(raw json.RawMessage) bool { return sidOf(raw) == in.Label })
		if len(p.Statement) == before {
			return invalidValue(in.Label, "Label", "can't find label.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sqs.RemovePermissionOutput{}, nil
}

// changePolicy changes a queue's policy; one without statements is no policy.
func (s *Service) changePolicy(ctx context.Context, url string, change func(arn string, p *policy) error) error {
	return s.update(ctx, url, func(ctx context.Context, tx kv.Tx, name string, q *queue) error {
		changed := *q
		var p policy
		if q.Settings.Policy != "" {
			var given struct {
				Version, Id string
				Statement   json.RawMessage
			}
			if err := json.Unmarshal([]byte(q.Settings.Policy), &given); err != nil {
				return invalidAttributeValue("Policy")
			}
			list, _ := listOf(given.Statement)
			p = policy{given.Version, given.Id, slices.Clone(list)}
		}
		if err := change(cloud.CallOf(ctx).ARN("sqs", name), &p); err != nil {
			return err
		}
		changed.Settings.Policy = ""
		if len(p.Statement) > 0 {
			changed.Settings.Policy = string(plainJSON(p))
		}
		if len(changed.Settings.Policy) > maxPolicy {
			return invalidAttributeValue("Policy")
		}
		changed.Modified = cloud.CallOf(ctx).Now.Unix()
		return s.putQueue(ctx, tx, name, &changed)
	})
}

func sidOf(raw json.RawMessage) string {
	var s struct{ Sid string }
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s.Sid
}

// oneOrMore is how policies write lists.
func oneOrMore(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}
