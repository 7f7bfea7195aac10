exports.handler = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  setInterval(() => {}, 1000);
  callback(null, { statusCode: 200, body: `${__filename} ${event.requestContext.http.method}`, cookies: ["a=b"] });
};
