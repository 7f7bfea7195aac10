package lambda

import (
	"context"
	"encoding/json"
	"slices"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
)

const getLayerAction = "lambda:GetLayerVersion"

// permits reports whether the version's policy lets another account use it.
func (l *layerVersion) permits(account string) bool {
	return slices.ContainsFunc(l.Policy, func(st statement) bool {
		if string(st.Principal) == `"*"` {
			return true
		}
		var p struct{ AWS string }
		return json.Unmarshal(st.Principal, &p) == nil && p.AWS == "arn:aws:iam::"+account+":root"
	})
}

func errLayerRevision() error {
	return precondition("The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id")
}

// changeLayerPolicy applies edit to the policy of a version of the caller's, in one transaction.
func (s *Service) changeLayerPolicy(ctx context.Context, ref layerReference, revision *string, edit func(l *layerVersion) error) (*layerVersion, error) {
	var l *layerVersion
	err := s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) (err error) {
		if l, err = loadLayerVersion(tx, ref.name, ref.version); err != nil {
			return err
		}
		if l == nil {
			return notFound("Layer version %s does not exist.", ref.arn())
		}
		if revision != nil && *revision != l.PolicyRevision {
			return errLayerRevision()
		}
		if err := edit(l); err != nil {
			return err
		}
		l.PolicyRevision = cloud.NewRequestID()
		return storeLayerVersion(tx, l)
	})
	return l, err
}

// AddLayerVersionPermission implements the operation.
func (s *Service) AddLayerVersionPermission(ctx context.Context, in *lambda.AddLayerVersionPermissionInput) (*lambda.AddLayerVersionPermissionOutput, error) {
	if in.OrganizationId != nil {
		return nil, refused("OrganizationId", "accounts are in no organization")
	}
	if err := checkLayerVersion(in.VersionNumber); err != nil {
		return nil, err
	}
	ref, err := s.ownLayer(ctx, in.LayerName, "lambda:AddLayerVersionPermission", in.VersionNumber)
	if err != nil {
		return nil, err
	}
	who, err := principal(in.Principal)
	if err != nil {
		return nil, err
	}
	st := statement{Sid: in.StatementId, Effect: "Allow", Principal: who, Action: in.Action, Resource: ref.arn()}
	answer, err := text(st)
	if err != nil {
		return nil, err
	}
	l, err := s.changeLayerPolicy(ctx, ref, in.RevisionId, func(l *layerVersion) error {
		if slices.ContainsFunc(l.Policy, func(old statement) bool { return old.Sid == st.Sid }) {
			return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.Sid)
		}
		l.Policy = append(l.Policy, st)
		whole, err := text(newDocument(l.Policy))
		if err == nil && len(whole) > maxPolicy {
			err = user(lambda.NewPolicyLengthExceededException("The final policy size (%d) is bigger than the limit (%d).", len(whole), maxPolicy))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &lambda.AddLayerVersionPermissionOutput{Statement: &answer, RevisionId: &l.PolicyRevision}, nil
}

// RemoveLayerVersionPermission implements the operation. Functions that have the version keep it.
func (s *Service) RemoveLayerVersionPermission(ctx context.Context, in *lambda.RemoveLayerVersionPermissionInput) (*lambda.RemoveLayerVersionPermissionOutput, error) {
	if err := checkLayerVersion(in.VersionNumber); err != nil {
		return nil, err
	}
	ref, err := s.ownLayer(ctx, in.LayerName, "lambda:RemoveLayerVersionPermission", in.VersionNumber)
	if err != nil {
		return nil, err
	}
	_, err = s.changeLayerPolicy(ctx, ref, in.RevisionId, func(l *layerVersion) error {
		if len(l.Policy) == 0 {
			return notFound("No policy is associated with the given resource.")
		}
		i := slices.IndexFunc(l.Policy, func(st statement) bool { return st.Sid == in.StatementId })
		if i < 0 {
			return notFound("Statement %s is not found in resource policy.", in.StatementId)
		}
		l.Policy = slices.Delete(l.Policy, i, i+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &lambda.RemoveLayerVersionPermissionOutput{}, nil
}

// GetLayerVersionPolicy implements the operation.
func (s *Service) GetLayerVersionPolicy(ctx context.Context, in *lambda.GetLayerVersionPolicyInput) (*lambda.GetLayerVersionPolicyOutput, error) {
	if err := checkLayerVersion(in.VersionNumber); err != nil {
		return nil, err
	}
	ref, err := s.ownLayer(ctx, in.LayerName, "lambda:GetLayerVersionPolicy", in.VersionNumber)
	if err != nil {
		return nil, err
	}
	out := new(lambda.GetLayerVersionPolicyOutput)
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		l, err := loadLayerVersion(r, ref.name, ref.version)
		switch {
		case err != nil:
			return err
		case l == nil:
			return notFound("Layer version %s does not exist.", ref.arn())
		case len(l.Policy) == 0:
			return notFound("No policy is associated with the given resource.")
		}
		whole, err := text(newDocument(l.Policy))
		out.Policy, out.RevisionId = &whole, &l.PolicyRevision
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
