// Tests of the orders example with node:test: `npm install && npm test`, and croft on PATH.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { CreateQueueCommand, ListQueuesCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { croft, CroftError, start } from "croft-test";

const orders = fileURLToPath(new URL("../../orders", import.meta.url));

describe("each test has its own account", () => {
  const env = croft();

  test("a message comes out as it went in", async () => {
    const sqs = new SQSClient(env.cloud.config);
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "jobs" }));
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "hello" }));
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 5 }));
    assert.equal(Messages[0].Body, "hello");
  });

  test("nothing is left of another test", async () => {
    const { QueueUrls = [] } = await new SQSClient(env.cloud.config).send(new ListQueuesCommand({}));
    assert.deepEqual(QueueUrls, []);
  });

  test("one function", async () => {
    await env.cloud.deploy(orders, { stack: "mine" });
    const answer = await env.cloud.invoke("CreateOrder", { body: "this is not JSON" });
    assert.equal(answer.statusCode, 400);
    await assert.rejects(env.cloud.invoke("nobody"), CroftError);
  });
});

test("the whole app, in a cloud of its own", async (t) => {
  const cloud = await start();
  t.after(() => cloud.stop());
  const { OrdersUrl } = await cloud.deploy(orders);

  const answer = await fetch(OrdersUrl, { method: "POST", body: '{"items": ["book"]}', headers: { "Content-Type": "application/json" } });
  const { orderId } = await answer.json();

  const shipments = new DynamoDBClient(cloud.config);
  const get = new GetItemCommand({ TableName: "Shipments", Key: { orderId: { S: orderId } } });
  for (const deadline = Date.now() + 30_000; !(await shipments.send(get)).Item; ) {
    assert.ok(Date.now() < deadline, "the order was not shipped");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});
