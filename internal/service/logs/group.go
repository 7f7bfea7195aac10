package logs

import (
	"context"
	"slices"
	"strings"

	"croft/internal/awsapi/logs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
	"croft/internal/wire"
)

const defaultDescribeLimit = 50

func errNotGroupARN(identifier string) error {
	return logs.NewInvalidParameterException("%s is not the name or ARN of a log group.", identifier)
}

// CreateLogGroup implements the operation.
func (s *Service) CreateLogGroup(ctx context.Context, in *logs.CreateLogGroupInput) (*logs.CreateLogGroupOutput, error) {
	if err := checkNames(in.LogGroupName); err != nil {
		return nil, err
	}
	switch {
	case in.KmsKeyId != nil:
		return nil, refused("kmsKeyId", "events are not encrypted")
	case in.LogGroupClass != nil && *in.LogGroupClass != logs.LogGroupClassSTANDARD:
		return nil, refused("logGroupClass "+*in.LogGroupClass, "groups are of class STANDARD")
	case wire.Value(in.DeletionProtectionEnabled):
		return nil, refused("deletionProtectionEnabled", "groups cannot be protected")
	}
	g := &group{Created: nowMillis(ctx), Tags: in.Tags}
	err := s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		exists, err := load(tx, groupKey(in.LogGroupName), new(group))
		if err != nil {
			return err
		}
		if exists {
			return logs.NewResourceAlreadyExistsException("The specified log group already exists")
		}
		return store(tx, groupKey(in.LogGroupName), g)
	})
	if err != nil {
		return nil, err
	}
	return &logs.CreateLogGroupOutput{}, nil
}

// DeleteLogGroup implements the operation.
func (s *Service) DeleteLogGroup(ctx context.Context, in *logs.DeleteLogGroupInput) (*logs.DeleteLogGroupOutput, error) {
	if err := checkNames(in.LogGroupName); err != nil {
		return nil, err
	}
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if _, err := loadGroup(tx, in.LogGroupName); err != nil {
			return err
		}
		for _, key := range []kv.Key{groupKey(in.LogGroupName), bytesKey(in.LogGroupName)} {
			if err := tx.Delete(key); err != nil {
				return err
			}
		}
		for _, prefix := range []kv.Key{streamsKey(in.LogGroupName), groupEventsKey(in.LogGroupName)} {
			if err := tx.DeleteRange(kv.PrefixRange(prefix)); err != nil {
				return err
			}
		}
		call := cloud.CallOf(ctx)
		return s.deps.Timers.Cancel(ctx, timer.Timer{
			Handler: retentionTimer, ID: in.LogGroupName, Account: call.Account, Region: call.Region,
		})
	})
	if err != nil {
		return nil, err
	}
	return &logs.DeleteLogGroupOutput{}, nil
}

// DescribeLogGroups implements the operation.
func (s *Service) DescribeLogGroups(ctx context.Context, in *logs.DescribeLogGroupsInput) (*logs.DescribeLogGroupsOutput, error) {
	s.settle()
	match, err := s.groupFilter(ctx, in)
	if err != nil {
		return nil, err
	}
	prefix := wire.Value(in.LogGroupNamePrefix)
	after, err := readNameToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := defaultDescribeLimit
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &logs.DescribeLogGroupsOutput{LogGroups: []logs.LogGroup{}}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		out.LogGroups, out.NextToken = out.LogGroups[:0], nil
		for row, err := range rows(r, groupsKey(), prefix, after) {
			if err != nil {
				return err
			}
			if !match(row.name) {
				continue
			}
			if len(out.LogGroups) == limit {
				out.NextToken = nameToken(wire.Value(out.LogGroups[limit-1].LogGroupName))
				return nil
			}
			g, err := describeGroup(ctx, r, row)
			if err != nil {
				return err
			}
			if in.LogGroupNamePattern != nil {
				// Recorded: a search by pattern answers without these two.
				g.StoredBytes, g.DeletionProtectionEnabled = nil, nil
			}
			out.LogGroups = append(out.LogGroups, g)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// groupFilter checks what the request filters by, beyond the prefix, and returns it as a predicate on names.
func (s *Service) groupFilter(ctx context.Context, in *logs.DescribeLogGroupsInput) (func(string) bool, error) {
	switch {
	case len(in.AccountIdentifiers) > 0:
		return nil, refused("accountIdentifiers", "accounts cannot be linked")
	case wire.Value(in.IncludeLinkedAccounts):
		return nil, refused("includeLinkedAccounts", "accounts cannot be linked")
	case in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil:
		return nil, logs.NewInvalidParameterException("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	var wanted []string
	for _, id := range in.LogGroupIdentifiers {
		name, err := s.groupOf(ctx, id)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, name)
	}
	class, pattern := wire.Value(in.LogGroupClass), wire.Value(in.LogGroupNamePattern)
	return func(name string) bool {
		return strings.Contains(name, pattern) &&
			(class == "" || class == logs.LogGroupClassSTANDARD) &&
			(wanted == nil || slices.Contains(wanted, name))
	}, nil
}

func describeGroup(ctx context.Context, r kv.Reader, row row) (logs.LogGroup, error) {
	var g group
	if err := decode(row.value, &g); err != nil {
		return logs.LogGroup{}, err
	}
	bytes, err := counter(r, bytesKey(row.name))
	if err != nil {
		return logs.LogGroup{}, err
	}
	arn := groupARN(ctx, row.name)
	out := logs.LogGroup{
		LogGroupName: &row.name, CreationTime: &g.Created, MetricFilterCount: wire.Ptr[int32](0),
		Arn: wire.Ptr(arn + ":*"), LogGroupArn: &arn, StoredBytes: wire.Ptr(max(0, bytes)),
		LogGroupClass: wire.Ptr(logs.LogGroupClassSTANDARD), DeletionProtectionEnabled: wire.Ptr(false),
	}
	if g.Retention != 0 {
		out.RetentionInDays = &g.Retention
	}
	return out, nil
}

// setTags replaces a group's tags.
func (s *Service) setTags(ctx context.Context, name string, tags map[string]string) error {
	return s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		g, err := loadGroup(tx, name)
		if err != nil {
			return err
		}
		g.Tags = tags
		return store(tx, groupKey(name), g)
	})
}
