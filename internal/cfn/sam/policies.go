package sam

import "croft/internal/cfn/template"

// policyTemplate is one of SAM's named policies with a parameter.
type policyTemplate struct {
	name, parameter, variable string
	actions                   []string
	resources                 []string
}

// policyTemplates lists the policy templates there are.
func policyTemplates() []policyTemplate {
	const (
		table  = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${tableName}"
		queue  = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${queueName}"
		topic  = "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${topicName}"
		bucket = "arn:${AWS::Partition}:s3:::${bucketName}"
		lambda = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${functionName}*"
	)
	tables, buckets := []string{table, table + "/index/*"}, []string{bucket, bucket + "/*"}
	return []policyTemplate{
		{"DynamoDBCrudPolicy", "TableName", "tableName", []string{"dynamodb:GetItem", "dynamodb:DeleteItem", "dynamodb:PutItem",
			"dynamodb:Scan", "dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem", "dynamodb:BatchGetItem",
			"dynamodb:DescribeTable", "dynamodb:ConditionCheckItem"}, tables},
		{"DynamoDBReadPolicy", "TableName", "tableName", []string{"dynamodb:GetItem", "dynamodb:Scan", "dynamodb:Query",
			"dynamodb:BatchGetItem", "dynamodb:DescribeTable"}, tables},
		{"DynamoDBWritePolicy", "TableName", "tableName", []string{"dynamodb:PutItem", "dynamodb:UpdateItem",
			"dynamodb:BatchWriteItem"}, tables},
		{"SNSPublishMessagePolicy", "TopicName", "topicName", []string{"sns:Publish"}, []string{topic}},
		{"SQSSendMessagePolicy", "QueueName", "queueName", []string{"sqs:SendMessage*"}, []string{queue}},
		{"SQSPollerPolicy", "QueueName", "queueName", []string{"sqs:ChangeMessageVisibility", "sqs:ChangeMessageVisibilityBatch",
			"sqs:DeleteMessage", "sqs:DeleteMessageBatch", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}, []string{queue}},
		{"S3ReadPolicy", "BucketName", "bucketName", []string{"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation",
			"s3:GetObjectVersion", "s3:GetLifecycleConfiguration"}, buckets},
		{"S3CrudPolicy", "BucketName", "bucketName", []string{"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation",
			"s3:GetObjectVersion", "s3:PutObject", "s3:PutObjectAcl", "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration",
			"s3:DeleteObject"}, buckets},
		{"LambdaInvokePolicy", "FunctionName", "functionName", []string{"lambda:InvokeFunction"}, []string{lambda}},
	}
}

// fromPolicyTemplate returns the policy document that an entry such as {DynamoDBReadPolicy: {TableName: t}} stands for.
func fromPolicyTemplate(function string, index int, entry *value) (*value, error) {
	use := entry.Fields()[0]
	for _, t := range policyTemplates() {
		if t.name != use.Key {
			continue
		}
		if !use.Value.Is(template.Map) {
			return nil, invalid(function, entry.Pos(), "Must specify valid parameter values for policy template '%s'", t.name)
		}
		v := use.Value.Get(t.parameter)
		if v == nil {
			return nil, invalid(function, entry.Pos(), "Following required parameters of template '%s' don't have values: ['%s']", t.name, t.parameter)
		}
		return t.document(v), nil
	}
	return nil, invalid(function, entry.Pos(), "Policy at index %d in the 'Policies' property is not valid: the policy template %s is not "+
		"supported by croft.", index, clip(use.Key))
}

func (t *policyTemplate) document(v *value) *value {
	var resources []*value
	for _, r := range t.resources {
		resources = append(resources, subWith(r, f(t.variable, v)))
	}
	resource := resources[0]
	if len(resources) > 1 {
		resource = list(resources...)
	}
	return object(f("Statement", list(object(f("Action", strs(t.actions...)), f("Effect", str("Allow")), f("Resource", resource)))))
}
