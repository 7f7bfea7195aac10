package s3

import (
	"context"
	"reflect"

	api "croft/internal/awsapi/s3"
)

type versioningProperties struct {
	Status string `cfn:"Status,required"`
}

// notifyProperties are the configurations of notifications, which templates name differently from the API.
type notifyProperties struct {
	Queues    []queueProperties    `cfn:"QueueConfigurations"`
	Topics    []topicProperties    `cfn:"TopicConfigurations"`
	Functions []functionProperties `cfn:"LambdaConfigurations"`
}

type queueProperties struct {
	Event  string            `cfn:"Event,required"`
	Queue  string            `cfn:"Queue,required"`
	Filter *filterProperties `cfn:"Filter"`
}

type topicProperties struct {
	Event  string            `cfn:"Event,required"`
	Topic  string            `cfn:"Topic,required"`
	Filter *filterProperties `cfn:"Filter"`
}

type functionProperties struct {
	Event    string            `cfn:"Event,required"`
	Function string            `cfn:"Function,required"`
	Filter   *filterProperties `cfn:"Filter"`
}

type filterProperties struct {
	Key struct {
		Rules []struct {
			Name  string `cfn:"Name,required"`
			Value string `cfn:"Value,required"`
		} `cfn:"Rules,required"`
	} `cfn:"S3Key,required"`
}

func (f *filterProperties) filter() *api.NotificationConfigurationFilter {
	if f == nil {
		return nil
	}
	key := new(api.S3KeyFilter)
	for _, r := range f.Key.Rules {
		key.FilterRules = append(key.FilterRules, api.FilterRule{Name: &r.Name, Value: &r.Value})
	}
	return &api.NotificationConfigurationFilter{Key: key}
}

// configureVersions gives a bucket the versioning of its properties. Without the property, a bucket that has kept versions keeps no new ones.
func (s *Service) configureVersions(ctx context.Context, bucket string, old, p *bucketProperties) error {
	if reflect.DeepEqual(old.VersioningConfiguration, p.VersioningConfiguration) {
		return nil
	}
	status := api.BucketVersioningStatusSuspended
	if p.VersioningConfiguration != nil {
		status = p.VersioningConfiguration.Status
	}
	_, err := s.client().PutBucketVersioning(ctx, &api.PutBucketVersioningInput{
		Bucket: bucket, VersioningConfiguration: &api.VersioningConfiguration{Status: &status},
	})
	return err
}

// configureNotifications gives a bucket the notifications of its properties.
func (s *Service) configureNotifications(ctx context.Context, bucket string, old, p *bucketProperties) error {
	if reflect.DeepEqual(old.NotificationConfiguration, p.NotificationConfiguration) {
		return nil
	}
	c := new(api.NotificationConfiguration)
	if n := p.NotificationConfiguration; n != nil {
		for _, q := range n.Queues {
			c.QueueConfigurations = append(c.QueueConfigurations, api.QueueConfiguration{QueueArn: q.Queue, Events: []string{q.Event}, Filter: q.Filter.filter()})
		}
		for _, t := range n.Topics {
			c.TopicConfigurations = append(c.TopicConfigurations, api.TopicConfiguration{TopicArn: t.Topic, Events: []string{t.Event}, Filter: t.Filter.filter()})
		}
		for _, f := range n.Functions {
			c.LambdaFunctionConfigurations = append(c.LambdaFunctionConfigurations,
				api.LambdaFunctionConfiguration{LambdaFunctionArn: f.Function, Events: []string{f.Event}, Filter: f.Filter.filter()})
		}
	}
	_, err := s.client().PutBucketNotificationConfiguration(ctx, &api.PutBucketNotificationConfigurationInput{Bucket: bucket, NotificationConfiguration: c})
	return err
}
