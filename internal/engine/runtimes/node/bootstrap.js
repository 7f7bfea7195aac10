'use strict';

// Runs one Lambda function. Started as
//
//     node bootstrap.js [ahead [node_modules FOLDER, PACKAGES IN IT ...]]
//
// with a socket to the server as descriptor 3, over which it speaks frames: docs/architecture/engine.md. Started ahead, before anybody
// knows which function it will be, it has its environment from the assign frame too.

const { Connection } = require('./frames.js');
const errors = require('./errors.js');
const invoke = require('./invoke.js');
const load = require('./load.js');
const log = require('./log.js');

const channel = new Connection(3);

// ends tells the server of an error after which the process must end. Until there is an invocation it is one of the initialisation.
let ends = (error, code) => {
  const document = errors.document(error);
  channel.write('I', { type: document.errorType }, Buffer.from(JSON.stringify(document)), () => process.exit(code));
};

process.on('uncaughtException', (error) => {
  log.failure('Uncaught Exception', error);
  ends(error, 129);
});

process.on('unhandledRejection', (reason, promise) => {
  const error = new errors.UnhandledPromiseRejection(reason, promise);
  log.failure('Unhandled Promise Rejection', error);
  ends(error, 128);
});

function takeEnvironment(env) {
  for (const name of Object.keys(process.env)) {
    if (!(name in env)) {
      delete process.env[name];
    }
  }
  Object.assign(process.env, env);
}

function root() {
  return process.env.LAMBDA_TASK_ROOT || process.cwd();
}

async function main() {
  const assigned = channel.next();
  const [ahead, modules, ...packages] = process.argv.splice(2);
  if (ahead) {
    await load.warm(modules, packages);
  }
  const { kind, header } = await assigned;
  if (kind !== 'A') {
    process.exit(1);
  }
  // A process that starts fresh has its environment already.
  if (header.env) {
    takeEnvironment(header.env);
    process.chdir(root());
  }
  log.patchConsole();
  const settings = load.settings();
  load.provideGlobals(settings);
  load.provideFallback();
  channel.rest();
  const handler = await load.handler(root(), header.handler, settings);
  channel.write('R', { pid: process.pid });
  invoke.serve(channel, handler, settings, (f) => (ends = f));
}

// What goes wrong before the handler is there is an uncaught exception, and not a rejected promise of the function's.
main().catch((error) =>
  setImmediate(() => {
    throw error;
  }),
);
