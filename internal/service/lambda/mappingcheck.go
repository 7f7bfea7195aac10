package lambda

import (
	"context"
	"strconv"

	"croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

func checkMapping(in *lambda.CreateEventSourceMappingInput) error {
	if in.EventSourceArn == nil {
		if in.SelfManagedEventSource != nil {
			return refused("SelfManagedEventSource", "SQS queues alone are polled")
		}
		return invalid("Unrecognized event source.")
	}
	source, err := cloud.ParseARN(*in.EventSourceArn)
	if err != nil {
		return invalid("Unrecognized event source.")
	}
	if source.Service != "sqs" {
		return refused("EventSourceArn "+*in.EventSourceArn, "SQS queues alone are polled")
	}
	if err := foreign(
		foreignParameter{in.StartingPosition != nil, "StartingPosition"},
		foreignParameter{in.StartingPositionTimestamp != nil, "StartingPositionTimestamp"},
		foreignParameter{len(in.Topics) > 0, "Topics"},
		foreignParameter{len(in.Queues) > 0, "Queues"},
		foreignParameter{in.SelfManagedEventSource != nil, "SelfManagedEventSource"},
		foreignParameter{in.ParallelizationFactor != nil, "ParallelizationFactor"},
		foreignParameter{in.DestinationConfig != nil, "DestinationConfig"},
		foreignParameter{in.MaximumRecordAgeInSeconds != nil, "MaximumRecordAgeInSeconds"},
		foreignParameter{in.BisectBatchOnFunctionError != nil, "BisectBatchOnFunctionError"},
		foreignParameter{in.MaximumRetryAttempts != nil, "MaximumRetryAttempts"},
		foreignParameter{in.TumblingWindowInSeconds != nil, "TumblingWindowInSeconds"},
		foreignParameter{len(in.SourceAccessConfigurations) > 0, "SourceAccessConfigurations"},
		foreignParameter{in.AmazonManagedKafkaEventSourceConfig != nil, "AmazonManagedKafkaEventSourceConfig"},
		foreignParameter{in.SelfManagedKafkaEventSourceConfig != nil, "SelfManagedKafkaEventSourceConfig"},
		foreignParameter{in.DocumentDBEventSourceConfig != nil, "DocumentDBEventSourceConfig"},
	); err != nil {
		return err
	}
	if err := checkPollerExtras(in.FilterCriteria, in.KMSKeyArn, in.MetricsConfig, in.LoggingConfig, in.ProvisionedPollerConfig); err != nil {
		return err
	}
	size := int32(defaultBatchSize)
	set(&size, in.BatchSize)
	if err := checkBatch(size, wire.Value(in.MaximumBatchingWindowInSeconds)); err != nil {
		return err
	}
	return checkTags(in.Tags)
}

func checkMappingUpdate(in *lambda.UpdateEventSourceMappingInput) error {
	if err := foreign(
		foreignParameter{in.ParallelizationFactor != nil, "ParallelizationFactor"},
		foreignParameter{in.DestinationConfig != nil, "DestinationConfig"},
		foreignParameter{in.MaximumRecordAgeInSeconds != nil, "MaximumRecordAgeInSeconds"},
		foreignParameter{in.BisectBatchOnFunctionError != nil, "BisectBatchOnFunctionError"},
		foreignParameter{in.MaximumRetryAttempts != nil, "MaximumRetryAttempts"},
		foreignParameter{in.TumblingWindowInSeconds != nil, "TumblingWindowInSeconds"},
		foreignParameter{len(in.SourceAccessConfigurations) > 0, "SourceAccessConfigurations"},
		foreignParameter{in.AmazonManagedKafkaEventSourceConfig != nil, "AmazonManagedKafkaEventSourceConfig"},
		foreignParameter{in.SelfManagedKafkaEventSourceConfig != nil, "SelfManagedKafkaEventSourceConfig"},
		foreignParameter{in.DocumentDBEventSourceConfig != nil, "DocumentDBEventSourceConfig"},
	); err != nil {
		return err
	}
	return checkPollerExtras(in.FilterCriteria, in.KMSKeyArn, in.MetricsConfig, in.LoggingConfig, in.ProvisionedPollerConfig)
}

// foreignParameter is a parameter for event sources other than queues.
type foreignParameter struct {
	given bool
	name  string
}

func foreign(list ...foreignParameter) error {
	for _, p := range list {
		if p.given {
			return invalid("Unsupported %s parameter for given event source mapping type.", p.name)
		}
	}
	return nil
}

func checkPollerExtras(filters *lambda.FilterCriteria, kmsKey *string, metrics *lambda.EventSourceMappingMetricsConfig,
	logging *lambda.EventSourceMappingLoggingConfig, provisioned *lambda.ProvisionedPollerConfig) error {
	return firstRefused(
		refusal{filters != nil && len(filters.Filters) > 0, "FilterCriteria", "every message goes to the function"},
		refusal{wire.Value(kmsKey) != "", "KMSKeyArn", "there are no filters to encrypt"},
		refusal{metrics != nil && len(metrics.Metrics) > 0, "MetricsConfig", "mappings have no metrics"},
		refusal{logging != nil, "LoggingConfig", "mappings do not log"},
		refusal{provisioned != nil, "ProvisionedPollerConfig", "pollers are not provisioned"},
	)
}

func checkBatch(size, window int32) error {
	if size > maxReceive && window == 0 {
		return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
	}
	return nil
}

// checkSource checks that a mapping's function and queue are there and fit each other.
func (s *Service) checkSource(ctx context.Context, m *mapping) error {
	call := cloud.CallOf(ctx)
	var t *resolved
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		t, err = resolve(r, m.function(call.Account, call.Region))
		return err
	})
	if cloud.Code(err) == "ResourceNotFoundException" {
		return invalid("Function does not exist")
	}
	if err != nil {
		return err
	}
	visibility, err := s.visibility(ctx, m.Source)
	if err != nil {
		return err
	}
	if visibility < int(t.fn.Timeout) {
		return invalid("Queue visibility timeout: %d seconds is less than Function timeout: %d seconds", visibility, t.fn.Timeout)
	}
	return nil
}

// visibility returns a queue's visibility timeout in seconds.
func (s *Service) visibility(ctx context.Context, queueARN string) (int, error) {
	call := cloud.CallOf(ctx)
	a, err := cloud.ParseARN(queueARN)
	if err != nil {
		return 0, err
	}
	if a.Account != call.Account || a.Region != call.Region {
		return 0, refused("EventSourceArn "+queueARN, "queues of other accounts and regions are not polled")
	}
	client := sqs.NewClient(s.deps.Caller)
	ctx = cloud.AsService(ctx, servicePrincipal)
	url, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: a.Resource})
	var out *sqs.GetQueueAttributesOutput
	if err == nil {
		out, err = client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: wire.Value(url.QueueUrl), AttributeNames: []string{sqs.QueueAttributeNameVisibilityTimeout},
		})
	}
	if cloud.Code(err) == "QueueDoesNotExist" {
		return 0, invalid("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. " +
			"SQS Error Message: The specified queue does not exist.")
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out.Attributes[sqs.QueueAttributeNameVisibilityTimeout])
}
