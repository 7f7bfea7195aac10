package dynamodb

import (
	"context"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// streamProperty, ttlProperty and recoveryProperty are properties of AWS::DynamoDB::Table. A stream is enabled by being there.
type streamProperty struct {
	StreamViewType string `cfn:"StreamViewType,required"`
}

type ttlProperty struct {
	AttributeName string `cfn:"AttributeName"`
	Enabled       bool   `cfn:"Enabled,required"`
}

type recoveryProperty struct {
	PointInTimeRecoveryEnabled bool `cfn:"PointInTimeRecoveryEnabled"`
}

func (p *streamProperty) input() *api.StreamSpecification {
	if p == nil {
		return nil
	}
	return &api.StreamSpecification{StreamEnabled: true, StreamViewType: wire.Ptr(p.StreamViewType)}
}

func (p *ttlProperty) input() *api.TimeToLiveSpecification {
	if p == nil || !p.Enabled {
		return nil
	}
	return &api.TimeToLiveSpecification{AttributeName: p.AttributeName, Enabled: true}
}

// checkFollowing checks the properties that are no parameters of CreateTable.
func (p *tableResource) checkFollowing() error {
	if p.PointInTimeRecoverySpecification != nil {
		if err := refuse("CreateTable", param{"PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled",
			p.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled}); err != nil {
			return err
		}
	}
	if ttl := p.TimeToLiveSpecification; ttl != nil && ttl.Enabled && ttl.AttributeName == "" {
		return validation("AttributeName property of TimeToLiveSpecification is required when TTL status is enabled or while enabling/disabling TTL.")
	}
	return nil
}

// enableTTL gives a table that has just been made its time to live.
func (p *tableResource) enableTTL(ctx context.Context, c api.Client, name string) error {
	spec := p.TimeToLiveSpecification.input()
	if spec == nil {
		return nil
	}
	_, err := c.UpdateTimeToLive(ctx, &api.UpdateTimeToLiveInput{TableName: name, TimeToLiveSpecification: spec})
	return err
}

// followResource makes the stream and the time to live of a changed table those of the properties. The stream is stored with the table.
func (s *Service) followResource(ctx context.Context, tx kv.Tx, p *tableResource, u *tableUpdate) error {
	if err := u.was.checkMade(); err != nil {
		return err
	}
	u.changed.wantStream(p.StreamSpecification.input())
	spec := p.TimeToLiveSpecification.input()
	if spec != nil && u.was.TTL != nil && u.was.TTL.Attribute != spec.AttributeName {
		return u.was.checkTTL(spec)
	}
	u.changed.wantTTL(spec)
	return s.moveTTL(ctx, tx, u.was, &u.changed)
}

// tableResult is what Ref and Fn::GetAtt have of a table.
func tableResult(call *cloud.Call, name string, stream *string) *cfn.Result {
	r := &cfn.Result{PhysicalID: name, Attributes: map[string]any{"Arn": call.ARN(serviceName, "table/"+name)}}
	if stream != nil {
		r.Attributes["StreamArn"] = *stream
	}
	return r
}
