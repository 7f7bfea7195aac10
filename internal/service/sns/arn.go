package sns

import (
	"context"
	"strings"

	"croft/internal/awsapi/sns"
	"croft/internal/cloud"
)

// parseARN reads an ARN that the caller gave as the named parameter, in the service's own words where it is none.
func parseARN(parameter, arn string) (cloud.ARN, error) {
	if arn == "" {
		return cloud.ARN{}, invalid("%s Reason: no value for required parameter", parameter)
	}
	if n := strings.Count(arn, ":") + 1; n < 6 {
		return cloud.ARN{}, invalid("%s Reason: An ARN must have at least 6 elements, not %d", parameter, n)
	}
	a, err := cloud.ParseARN(arn)
	if err != nil {
		return cloud.ARN{}, invalid("%s", parameter)
	}
	return a, nil
}

// ownARN reads the ARN of one of the service's resources, which must be in the call's account and region.
func (s *Service) ownARN(ctx context.Context, parameter, arn string) (cloud.ARN, error) {
	a, err := parseARN(parameter, arn)
	if err != nil {
		return a, err
	}
	call := cloud.CallOf(ctx)
	if a.Service != "sns" || a.Partition != cloud.Partition || a.Region != call.Region {
		return a, invalid("%s", parameter)
	}
	a.Account = s.deps.Account(ctx, a.Account, arn)
	if a.Account != call.Account {
		return a, sns.NewAuthorizationErrorException("User: %s is not authorized to access resource: %s", call.Principal.ARN, arn)
	}
	return a, nil
}

// topicName returns the name of the topic that an ARN means.
func (s *Service) topicName(ctx context.Context, parameter, arn string) (string, error) {
	a, err := s.ownARN(ctx, parameter, arn)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(a.Resource, ":/") {
		return "", invalid("%s", parameter)
	}
	return a.Resource, nil
}

// subscriptionName returns the topic's name and the subscription's id in a subscription ARN.
func (s *Service) subscriptionName(ctx context.Context, arn string) (topic, id string, err error) {
	a, err := s.ownARN(ctx, "SubscriptionArn", arn)
	if err != nil {
		return "", "", err
	}
	topic, id, ok := strings.Cut(a.Resource, ":")
	if !ok || id == "" || strings.Contains(id, ":") {
		return "", "", invalid("SubscriptionId")
	}
	return topic, id, nil
}
