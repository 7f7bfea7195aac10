'use strict';

// Errors that Lambda has names for, and the documents that tell of errors.

const util = require('node:util');

function named(name, text) {
  const type = class extends Error {
    constructor(message = text) {
      super(message);
    }
  };
  Object.defineProperty(type.prototype, 'name', { value: 'Runtime.' + name, writable: true, configurable: true });
  return type;
}

const UnhandledPromiseRejection = class extends named('UnhandledPromiseRejection') {
  constructor(reason, promise) {
    super(reason instanceof Error ? String(reason) : reason);
    this.reason = reason;
    this.promise = promise;
  }
};

// isError also knows errors of another realm, and what looks like one.
function isError(e) {
  return util.types.isNativeError(e) || Boolean(e && ['name', 'message', 'stack'].every((k) => e[k] && typeof e[k] === 'string'));
}

// document is what the caller of a function gets to see of an error. It is always JSON, whatever was thrown.
function document(e) {
  const clean = (text) => text?.replaceAll('\x7f', '%7F');
  try {
    if (isError(e)) {
      return { errorType: clean(e.name), errorMessage: clean(e.message), trace: clean(e.stack).split('\n') };
    }
    return { errorType: typeof e, errorMessage: e.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

// detailed is an error as a log line has it: with everything that it carries.
function detailed(e) {
  const shown = (_, value) => {
    if (!(value instanceof Error)) {
      return value;
    }
    const out = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    if (typeof value.stack === 'string') {
      out.stack = value.stack.split('\n');
    }
    return out;
  };
  try {
    return JSON.stringify(e, shown);
  } catch {
    return JSON.stringify(document(e));
  }
}

module.exports = {
  document,
  detailed,
  UnhandledPromiseRejection,
  ImportModuleError: named('ImportModuleError'),
  HandlerNotFound: named('HandlerNotFound'),
  MalformedHandlerName: named('MalformedHandlerName'),
  UserCodeSyntaxError: named('UserCodeSyntaxError'),
  MalformedStreamingHandler: named('MalformedStreamingHandler'),
  InvalidStreamingOperation: named('InvalidStreamingOperation'),
  TruncatedResponse: named('TruncatedResponse', 'Response stream is not finished.'),
  CallbackHandlerDeprecated: named(
    'CallbackHandlerDeprecated',
    'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use ' +
      'a supported handler signature to use Node.js 24 or later. For more information see ' +
      'https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.',
  ),
  NodeJsExit: named(
    'NodeJsExit',
    'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. ' +
      'For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes',
  ),
};
