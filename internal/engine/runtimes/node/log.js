'use strict';

// The console as Lambda has it. What is written to process.stdout itself goes out as it is.

const util = require('node:util');
const errors = require('./errors.js');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const SEPARATOR = '\x1e'; // stands for a line break inside one log event; the server turns it back

// Taken before the function can replace it.
const write = process.stdout.write.bind(process.stdout);

let requestId;
let tenantId;
let json = false;

function invocation(id, tenant) {
  requestId = id;
  tenantId = tenant;
}

function textLine(level, ...params) {
  return `${new Date().toISOString()}\t${requestId}\t${level}\t${util.format(...params)}`;
}

function withErrors(_, value) {
  if (!(value instanceof Error)) {
    return value;
  }
  const stackTrace = typeof value.stack === 'string' ? value.stack.split('\n') : value.stack;
  return { errorType: value.constructor?.name ?? 'UnknownError', errorMessage: value.message, stackTrace, ...value };
}

function jsonLine(level, ...params) {
  const line = { timestamp: new Date().toISOString(), level, requestId };
  if (tenantId !== undefined) {
    line.tenantId = tenantId;
  }
  if (params.length === 1) {
    line.message = params[0];
    try {
      return JSON.stringify(line, withErrors);
    } catch {
      line.message = util.format(params[0]);
      return JSON.stringify(line);
    }
  }
  line.message = util.format(...params);
  const error = params.find((p) => p instanceof Error);
  if (error) {
    line.errorType = error.constructor?.name ?? 'UnknownError';
    line.errorMessage = error.message;
    line.stackTrace = typeof error.stack === 'string' ? error.stack.split('\n') : [];
  }
  return JSON.stringify(line);
}

// patchConsole replaces the console's functions as the environment variables for logs say.
function patchConsole() {
  json = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  const line = json ? jsonLine : textLine;
  const lowest = Math.max(0, LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()));
  const at = (level) => {
    if (LEVELS.indexOf(level) < lowest) {
      return () => {};
    }
    return (message, ...params) => write(line(level, message, ...params).replaceAll('\n', SEPARATOR) + '\n');
  };
  console.trace = at('TRACE');
  console.debug = at('DEBUG');
  console.info = at('INFO');
  console.log = console.info;
  console.warn = at('WARN');
  console.error = at('ERROR');
  console.fatal = at('FATAL');
}

// failure logs an error that the function did not catch.
function failure(what, e) {
  const error = e instanceof Error ? e : new Error(e);
  if (json) {
    console.error(error);
  } else {
    console.error(what, '\t' + errors.detailed(error));
  }
}

module.exports = { patchConsole, invocation, failure };
