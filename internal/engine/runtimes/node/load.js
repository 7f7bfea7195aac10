'use strict';

// Finds the handler, and everything that has to be there before it is loaded.

const fs = require('node:fs');
const module_ = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const errors = require('./errors.js');
const { HttpResponseStream } = require('./stream.js');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

// requireFor is the function's require: error messages tell who asked, and Lambda's tell this file.
const requireFor = module_.createRequire(path.join(__dirname, 'index.mjs'));

// What nearly every function needs of Node itself. Loading it takes some ten milliseconds.
const BUILTINS = [
  'http', 'https', 'http2', 'tls', 'dns', 'zlib', 'crypto', 'stream', 'stream/promises', 'fs/promises', 'url', 'os', 'child_process', 'buffer',
  'async_hooks', 'timers/promises', 'querystring', 'perf_hooks', 'string_decoder', 'assert', 'readline',
];

// warm does what can be done before the function is known.
async function warm(modules, packages) {
  for (const name of BUILTINS) {
    require('node:' + name);
  }
  await import('./warm.mjs');
  // A function that brings its own copy of a package has it at another path, and never meets this one.
  for (const name of packages) {
    try {
      await import(pathToFileURL(require.resolve(path.join(modules, name))).href);
    } catch {
      // Whoever needs it will be told.
    }
  }
}

// settings reads what of the environment decides how handlers are called.
function settings() {
  const env = process.env;
  const off = env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA;
  return {
    // Of the runtime that was asked for, which need not be the interpreter's.
    major: Number(/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV)?.[1] ?? process.versions.node.split('.')[0]),
    globals: off !== '1' && off !== 'true',
    warn: env.AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING === undefined,
  };
}

// provideGlobals makes what functions find as the global awslambda.
function provideGlobals({ globals }) {
  if (!globals) {
    return;
  }
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse: (handler, options) => {
      handler[STREAMING] = 'response';
      if (typeof options?.highWaterMark === 'number') {
        handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      }
      return handler;
    },
    HttpResponseStream,
  };
}

// fallbackFolders are those of NODE_PATH that hold packages.
function fallbackFolders() {
  return (process.env.NODE_PATH ?? '').split(':').filter((folder) => {
    try {
      return path.basename(folder) === 'node_modules' && fs.readdirSync(folder).length > 0;
    } catch {
      return false;
    }
  });
}

// provideFallback lets import find packages where NODE_PATH says, as Lambda's own Node.js does and the usual one does not. Node.js has had hooks in
// the same thread since 22.15. Older ones have hooks in a thread of their own, which costs so much that a handler must be an ES module to get it.
function provideFallback() {
  if (module_.registerHooks === undefined) {
    return;
  }
  let folders;
  module_.registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (e) {
        if (e.code !== 'ERR_MODULE_NOT_FOUND' || !isBare(specifier)) {
          throw e;
        }
        folders ??= fallbackFolders();
        for (const folder of folders) {
          try {
            return next(specifier, { ...context, parentURL: pathToFileURL(path.dirname(folder) + '/').href });
          } catch {
            // The first error is the one to tell.
          }
        }
        throw e;
      }
    },
  });
}

function isBare(specifier) {
  return !/^(\.{0,2}\/|[a-z][a-z0-9+.-]*:|#)/i.test(specifier);
}

function provideOldFallback() {
  if (module_.registerHooks !== undefined || module_.register === undefined) {
    return;
  }
  const folders = fallbackFolders().map((folder) => pathToFileURL(path.dirname(folder) + '/').href);
  if (folders.length) {
    module_.register('./hooks.mjs', { parentURL: pathToFileURL(__filename).href, data: { folders } });
  }
}

function isESModule(file) {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    if (path.basename(folder) === 'node_modules') {
      return false;
    }
    const description = path.join(folder, 'package.json');
    if (fs.existsSync(description)) {
      try {
        return JSON.parse(fs.readFileSync(description, 'utf8'))?.type === 'module';
      } catch (e) {
        console.warn(`${description} cannot be read, it will be ignored for ES module detection purposes.`, e);
        return false;
      }
    }
    if (folder === path.dirname(folder)) {
      return false;
    }
  }
}

// loadModule loads a module by Lambda's rules: without an extension, .js as package.json has it, .mjs, .cjs, and then wherever require finds it.
async function loadModule(root, folder, name) {
  const file = path.resolve(root, folder, name);
  const isThere = (extension) => fs.existsSync(file + extension);
  const imported = async (extension) => {
    provideOldFallback();
    return import(pathToFileURL(file + extension).href);
  };
  if (isThere('')) {
    return requireFor(file);
  }
  if (isThere('.js')) {
    return isESModule(file + '.js') ? imported('.js') : requireFor(file + '.js');
  }
  if (isThere('.mjs')) {
    return imported('.mjs');
  }
  if (isThere('.cjs')) {
    return requireFor(file + '.cjs');
  }
  return requireFor(requireFor.resolve(name, { paths: [root, folder] }));
}

// handler returns the function that the name stands for, with what it is: how it is to be called.
async function handler(root, name, { major, warn }) {
  if (name.includes('..')) {
    throw new errors.MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const last = path.basename(name);
  const split = /^([^.]*)\.(.*)$/.exec(last);
  if (!split) {
    throw new errors.MalformedHandlerName('Bad handler');
  }
  const found = await loadModule(root, name.slice(0, name.indexOf(last)), split[1]).catch((e) => {
    if (e instanceof SyntaxError) {
      throw new errors.UserCodeSyntaxError(e);
    }
    throw e?.code === 'MODULE_NOT_FOUND' ? new errors.ImportModuleError(e) : e;
  });
  const call = split[2].split('.').reduce((in_, key) => in_ && in_[key], found);
  if (!call) {
    throw new errors.HandlerNotFound(`${name} is undefined or not exported`);
  }
  if (typeof call !== 'function') {
    throw new errors.HandlerNotFound(`${name} is not a function`);
  }
  return described(call, major, warn);
}

function described(call, major, warn) {
  const streaming = call[STREAMING] ?? false;
  if (streaming !== false && streaming !== 'response') {
    throw new errors.MalformedStreamingHandler('Only response streaming is supported.');
  }
  const isAsync = call.constructor?.name === 'AsyncFunction';
  if (streaming === false && call.length === 3 && (major >= 24 || !isAsync)) {
    if (major >= 24) {
      throw new errors.CallbackHandlerDeprecated();
    }
    if (warn) {
      console.warn(CALLBACK_WARNING);
    }
  }
  return { call, isAsync, streaming: streaming === 'response', highWaterMark: parseInt(call[HIGH_WATER_MARK]) || undefined };
}

const CALLBACK_WARNING =
  'AWS Lambda plans to remove support for callback-based function handlers starting with Node.js 24. You will need to update this function to use an ' +
  'async handler to use Node.js 24 or later. For more information and to provide feedback on this change, see ' +
  'https://github.com/aws/aws-lambda-nodejs-runtime-interface-client/issues/137. To disable this warning, set the ' +
  'AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING environment variable.';

module.exports = { warm, settings, provideGlobals, provideFallback, handler };
