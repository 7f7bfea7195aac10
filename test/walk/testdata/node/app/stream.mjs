import { ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const sqs = new SQSClient();

// Writes one line, and the second when it is told to.
export const handler = awslambda.streamifyResponse(async (event, out) => {
  out = awslambda.HttpResponseStream.from(out, { statusCode: 203, headers: { "content-type": "text/x-lines" } });
  out.write("one\n");
  let told;
  while (!told) {
    told = (await sqs.send(new ReceiveMessageCommand({ QueueUrl: process.env.QUEUE, WaitTimeSeconds: 5 }))).Messages?.[0];
  }
  out.write(told.Body + "\n");
  out.end();
});
