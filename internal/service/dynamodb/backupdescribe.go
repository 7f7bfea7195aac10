package dynamodb

import (
	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/wire"
)

func (b *backup) status() string {
	if b.Copied {
		return "AVAILABLE"
	}
	return statusCreating
}

func (b *backup) details(call *cloud.Call) *api.BackupDetails {
	return &api.BackupDetails{BackupArn: b.arn(call), BackupName: b.Name, BackupSizeBytes: wire.Ptr(b.Bytes), BackupStatus: b.status(),
		BackupType: "USER", BackupCreationDateTime: b.Created}
}

func (b *backup) summary(call *cloud.Call) api.BackupSummary {
	return api.BackupSummary{
		TableName: wire.Ptr(b.Table.Name), TableId: wire.Ptr(b.Table.ID), TableArn: wire.Ptr(call.ARN(serviceName, "table/"+b.Table.Name)),
		BackupArn: wire.Ptr(b.arn(call)), BackupName: wire.Ptr(b.Name), BackupCreationDateTime: wire.Ptr(b.Created),
		BackupStatus: wire.Ptr(b.status()), BackupType: wire.Ptr("USER"), BackupSizeBytes: wire.Ptr(b.Bytes),
	}
}

func (b *backup) describe(call *cloud.Call) *api.BackupDescription {
	t := b.Table
	mode := "PROVISIONED"
	if t.OnDemand {
		mode = payPerRequest
	}
	features := &api.SourceTableFeatureDetails{}
	for _, x := range t.Indexes {
		if x.Local {
			features.LocalSecondaryIndexes = append(features.LocalSecondaryIndexes,
				api.LocalSecondaryIndexInfo{IndexName: wire.Ptr(x.Name), KeySchema: x.KeySchema, Projection: wire.Ptr(x.Projection)})
			continue
		}
		features.GlobalSecondaryIndexes = append(features.GlobalSecondaryIndexes, api.GlobalSecondaryIndexInfo{
			IndexName: wire.Ptr(x.Name), KeySchema: x.KeySchema, Projection: wire.Ptr(x.Projection),
			ProvisionedThroughput: &api.ProvisionedThroughput{ReadCapacityUnits: x.ReadUnits, WriteCapacityUnits: x.WriteUnits}})
	}
	if t.streamEnabled() {
		features.StreamDescription = &api.StreamSpecification{StreamEnabled: true, StreamViewType: wire.Ptr(t.Stream.View)}
	}
	if t.TTL != nil {
		features.TimeToLiveDescription = t.describeTTL()
	}
	return &api.BackupDescription{
		BackupDetails: b.details(call),
		SourceTableDetails: &api.SourceTableDetails{
			TableName: t.Name, TableId: t.ID, TableArn: wire.Ptr(call.ARN(serviceName, "table/"+t.Name)), TableSizeBytes: wire.Ptr(b.Bytes),
			KeySchema: t.KeySchema, TableCreationDateTime: t.Created, ItemCount: wire.Ptr(b.Items), BillingMode: wire.Ptr(mode),
			ProvisionedThroughput: &api.ProvisionedThroughput{ReadCapacityUnits: t.ReadUnits, WriteCapacityUnits: t.WriteUnits},
		},
		SourceTableFeatureDetails: features,
	}
}
