exports.handler = async (event, context) => {
  if (event && event.fail) throw new Error("as told");
  if (event && event.large) return "x".repeat(7 * 1024 * 1024);
  return {
    event,
    id: context.awsRequestId,
    arn: context.invokedFunctionArn,
    custom: context.clientContext.custom.k,
    me: context.identity?.cognitoIdentityId,
    left: context.getRemainingTimeInMillis(),
  };
};

exports.streaming = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType("text/x");
  stream.write("one ");
  await new Promise((done) => setTimeout(done, 50));
  if (event.fail) throw new Error("as told");
  stream.write("two");
  stream.end();
});
