// Calls through the AWS SDKs for JavaScript: version 2, which knows no AWS_ENDPOINT_URL, and version 3 with and without it.
const AWS = require('aws-sdk');
const { SQSClient, ListQueuesCommand } = require('@aws-sdk/client-sqs');
const { SFNClient, StartSyncExecutionCommand } = require('@aws-sdk/client-sfn');

const count = async (client) => (await client.send(new ListQueuesCommand({}))).QueueUrls.length;

(async () => {
  console.log('v2 sqs', (await new AWS.SQS().listQueues().promise()).QueueUrls.length);
  console.log('v2 sts', (await new AWS.STS().getCallerIdentity().promise()).Account);
  console.log('v3 sqs', await count(new SQSClient({})));
  console.log('v3 host', await count(new SQSClient({ endpoint: 'https://sqs.us-east-1.amazonaws.com' })));
  const input = { stateMachineArn: 'arn:aws:states:us-east-1:111122223333:stateMachine:none' };
  console.log('v3 sync', await new SFNClient({}).send(new StartSyncExecutionCommand(input)).catch((e) => e.name));
  process.exit(0);
})();
