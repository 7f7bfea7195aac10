package cloudformation

import (
	"context"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/kv"
)

// UpdateTerminationProtection protects a stack against deletion, or no longer.
func (s *Service) UpdateTerminationProtection(ctx context.Context, in *cloudformation.UpdateTerminationProtectionInput) (*cloudformation.UpdateTerminationProtectionOutput, error) {
	out := &cloudformation.UpdateTerminationProtectionOutput{}
	return out, s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		st, err := s.need(ctx, tx, in.StackName, noStack)
		if err != nil {
			return err
		}
		if st.Status == cfn.DeleteComplete || st.Status == cfn.DeleteInProgress {
			return validation("Stack [%s] is in %s state and its termination protection cannot be changed.", st.Name, st.Status)
		}
		st.Protected, out.StackId = in.EnableTerminationProtection, &st.ID
		return s.save(ctx, tx, st)
	})
}
