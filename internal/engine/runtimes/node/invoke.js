'use strict';

// The life of an invocation, as the documentation of Lambda's Node.js runtimes describes it.
//
// Up to Node.js 22 an invocation is answered when a promise settles or a callback is called, and a callback waits for the event loop to become empty
// unless callbackWaitsForEmptyEventLoop says otherwise. An event loop that becomes empty before that ends the invocation too. Since 24 promises and
// returned values alone count, and nothing is waited for.

const errors = require('./errors.js');
const log = require('./log.js');
const { ResponseStream } = require('./stream.js');

const store = {
  requestId: Symbol.for('_AWS_LAMBDA_REQUEST_ID'),
  trace: Symbol.for('_AWS_LAMBDA_X_RAY_TRACE_ID'),
  tenant: Symbol.for('_AWS_LAMBDA_TENANT_ID'),
};

// InvokeStore is what @aws/lambda-invoke-store finds: the facts of the invocation, and what libraries keep beside them.
class InvokeStore {
  run(context, f) {
    this.context = context;
    return f();
  }
  getContext() {
    return this.context;
  }
  hasContext() {
    return this.context !== undefined;
  }
  get(key) {
    return this.context?.[key];
  }
  set(key, value) {
    if (typeof key === 'symbol' && Object.values(store).includes(key)) {
      throw new Error(`Cannot modify protected Lambda context field: ${String(key)}`);
    }
    (this.context ??= {})[key] = value;
  }
  getRequestId() {
    return this.get(store.requestId) ?? '-';
  }
  getXRayTraceId() {
    return this.get(store.trace);
  }
  getTenantId() {
    return this.get(store.tenant);
  }
  getTraceparent() {}
  getTracestate() {}
  getBaggage() {}
}

function parsed(text, name) {
  if (text === undefined) {
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new Error(`Cannot parse ${name} as json: ${e}`);
  }
}

// contextOf completes the context object that a handler gets.
function contextOf(context, header) {
  const env = process.env;
  return Object.assign(context, {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed(header.context, 'ClientContext'),
    identity: parsed(header.identity, 'CognitoIdentity'),
    invokedFunctionArn: header.arn,
    awsRequestId: header.id,
    tenantId: header.tenant,
    getRemainingTimeInMillis: () => header.deadline - Date.now(),
  });
}

function isPromise(value) {
  return typeof value?.then === 'function';
}

function encoded(answer) {
  let text;
  try {
    text = JSON.stringify(answer === undefined ? null : answer);
  } catch {
    throw new Error('Unable to stringify response body');
  }
  return Buffer.from(text ?? 'null');
}

// Runtime calls the handler as its own method: stack traces then begin as Lambda's, with Runtime.handler.
class Runtime {
  constructor(channel, handler, settings, onEnd) {
    this.channel = channel;
    this.handler = handler.call;
    this.kind = handler;
    this.modern = settings.major >= 24;
    this.onEnd = onEnd;
    // idle is called when the event loop is empty.
    this.idle = () => {};
    this.store = new InvokeStore();
    if (settings.globals) {
      globalThis.awslambda.InvokeStore = this.store;
    }
    process.on('beforeExit', () => this.idle());
  }

  async next() {
    const { kind, header, body } = await this.channel.next();
    if (kind !== 'N') {
      process.exit(1);
    }
    this.channel.rest();
    log.invocation(header.id, header.tenant);
    if (header.trace) {
      process.env._X_AMZN_TRACE_ID = header.trace;
    } else {
      delete process.env._X_AMZN_TRACE_ID;
    }
    const facts = { [store.requestId]: header.id, [store.trace]: header.trace, [store.tenant]: header.tenant };
    this.onEnd((error, code) => this.fail(error, () => process.exit(code)));
    this.store.run(facts, () => (this.kind.streaming ? this.stream(header, body) : this.call(header, body)));
  }

  // again waits for the next event, in another turn of the event loop.
  again() {
    this.idle = () => {};
    setImmediate(() => this.next());
  }

  answer(value) {
    this.channel.write('O', { type: 'application/json' }, encoded(value));
    this.again();
  }

  fail(error, sent = undefined) {
    const document = errors.document(error);
    this.channel.write('E', { type: document.errorType }, Buffer.from(JSON.stringify(document)), sent);
    if (sent === undefined) {
      this.again();
    }
  }

  failed(error) {
    log.failure('Invoke Error', error);
    this.fail(error);
  }

  call(header, body) {
    // Whoever answers first, answers.
    let over = false;
    const once = (f) => (...args) => {
      if (!over) {
        f(...args);
        over = true;
      }
    };
    const succeed = once((value) => this.answer(value));
    const fail = once((error) => this.failed(error ?? 'handled'));
    this.idle = once(() => {
      if (this.kind.isAsync || this.modern) {
        this.failed(new errors.NodeJsExit());
      } else {
        this.answer(null);
      }
    });
    try {
      const [context, callback] = this.modern ? [{}, undefined] : this.callbacks(once, succeed, fail);
      const result = this.handler(JSON.parse(body.toString('utf8')), contextOf(context, header), callback);
      if (isPromise(result)) {
        result.then(succeed, fail).catch(fail);
      } else if (this.modern) {
        succeed(result);
      }
    } catch (error) {
      once((e) => this.failed(e))(error);
    }
  }

  // callbacks returns what the runtimes before 24 give a handler besides promises.
  callbacks(once, succeed, fail) {
    const context = { callbackWaitsForEmptyEventLoop: true, succeed, fail };
    context.done = (error, value) => (error === undefined || error === null ? succeed(value) : fail(error));
    const callback = once((error, value) => {
      if (error !== undefined && error !== null) {
        this.failed(error);
      } else if (context.callbackWaitsForEmptyEventLoop) {
        this.idle = () => this.answer(value);
      } else {
        this.answer(value);
      }
    });
    return [context, callback];
  }

  async stream(header, body) {
    const response = new ResponseStream(this.channel, this.kind.highWaterMark);
    let over = false;
    const end = (error) => {
      if (over) {
        return;
      }
      over = true;
      if (error !== undefined) {
        log.failure('Invoke Error', error);
      }
      response.close(error);
      this.again();
    };
    this.onEnd((error, code) => response.close(error, () => process.exit(code)));
    this.idle = () => end(new errors.TruncatedResponse());
    const context = this.modern ? {} : { callbackWaitsForEmptyEventLoop: true };
    try {
      const result = this.handler(JSON.parse(body.toString('utf8')), response, contextOf(context, header));
      if (!isPromise(result)) {
        end('Streaming does not support non-async handlers.');
        return;
      }
      if ((await result) !== undefined) {
        console.warn('Streaming handlers ignore return values.');
      }
      await response.finished();
    } catch (error) {
      end(error);
      return;
    }
    if (context.callbackWaitsForEmptyEventLoop) {
      this.idle = () => end();
    } else {
      end();
    }
  }
}

// serve answers events until the process ends.
function serve(channel, handler, settings, onEnd) {
  new Runtime(channel, handler, settings, onEnd).next();
}

module.exports = { serve };
