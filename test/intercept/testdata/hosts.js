// Asks AWS's own host names for things by each of Node's own clients. None of them heeds proxy variables in Node 20.
const dns = require('dns');
const http = require('http');
const https = require('https');
const { Worker } = require('worker_threads');

const path = '://sqs.us-east-1.amazonaws.com/?Action=ListQueues&Version=2012-11-05';
const get = (client, url, options) => new Promise((ok) => {
  client.get(url, options || {}, (res) => { res.resume(); res.on('end', () => ok(res.statusCode)); }).on('error', (e) => ok(e.code));
});
const inWorker = () => new Promise((ok) => {
  const code = `require('https').get('https${path}', (r) => { r.resume(); require('worker_threads').parentPort.postMessage(r.statusCode); })`;
  new Worker(code, { eval: true }).on('message', ok).on('error', (e) => ok(e.message));
});

(async () => {
  console.log('https', await get(https, 'https' + path));
  console.log('http', await get(http, 'http' + path));
  console.log('agent', await get(https, 'https' + path, { agent: new https.Agent({ keepAlive: true }) }));
  console.log('fetch', (await fetch('https' + path)).status);
  console.log('worker', await inWorker());
  console.log('lookup', await new Promise((ok) => dns.lookup('kinesis.us-east-1.amazonaws.com', (e) => ok(e.code))));
  console.log('port', await get(https, 'https://sqs.us-east-1.amazonaws.com:8443/'));
  process.exit(0);
})();
