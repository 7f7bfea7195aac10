// Loaded into each Node process below croft exec, before the program. Node's own clients and the AWS SDKs for JavaScript take no notice of
// proxy variables; this leads their connections to AWS through croft's proxy, and leaves all others as they are.
'use strict';
(() => {
  const cfg = CONFIG;
  const dns = require('dns');
  const http = require('http');
  const https = require('https');
  const net = require('net');
  const tls = require('tls');
  const origin = { http: http.Agent.prototype.createConnection, https: https.Agent.prototype.createConnection, lookup: dns.lookup, fetch: globalThis.fetch };

  const ends = (name, suffix) => name === suffix || name.endsWith('.' + suffix);
  const clean = (host) => String(host || '').toLowerCase().replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const isOurs = (host) => {
    const name = clean(host);
    return cfg.suffixes.some((s) => ends(name, s)) || cfg.names.some((n) => name.endsWith('-' + n)); // "sync-" before a name of the cloud's
  };

  // tunnel calls done(error, socket) with a connection to host:port through the proxy.
  function tunnel(host, port, done) {
    const req = new http.ClientRequest({
      host: cfg.proxyHost, port: cfg.proxyPort, method: 'CONNECT', path: `${clean(host)}:${port}`, agent: false,
      createConnection: () => net.connect({ host: cfg.proxyHost, port: cfg.proxyPort, noDelay: true }),
      headers: { host: `${clean(host)}:${port}`, 'proxy-authorization': cfg.authorization },
    });
    req.once('connect', (res, socket, head) => {
      if (res.statusCode !== 200) {
        socket.destroy();
        done(Object.assign(new Error(`croft exec: the proxy refused ${host}:${port} (${res.statusCode})`), { code: 'ECONNREFUSED' }));
        return;
      }
      if (head.length) socket.unshift(head);
      socket.setTimeout(0);
      done(null, socket);
    });
    req.once('error', done);
    req.end();
  }

  // secure starts TLS on a tunnel as the agent that asked for it would.
  const secure = (options, socket) => {
    const name = options.servername || clean(options.host);
    return tls.connect(Object.assign({}, options, { socket, servername: name, path: undefined, host: undefined, port: undefined, ALPNProtocols: ['http/1.1'] }));
  };

  const through = (scheme, original) => function createConnection(...args) {
    const [options, done] = [args[0], args[args.length - 1]];
    if (!options || typeof options !== 'object' || typeof done !== 'function' || options.socketPath || !isOurs(options.host)) {
      return original.apply(this, args);
    }
    tunnel(options.host, options.port, (err, socket) => {
      if (err) done(err);
      else done(null, scheme === 'https' ? secure(options, socket) : socket);
    });
    return undefined;
  };
  http.Agent.prototype.createConnection = through('http', origin.http);
  https.Agent.prototype.createConnection = through('https', origin.https);

  // What comes to look up a host of AWS goes past the proxy. It must not get through.
  dns.lookup = function lookup(host, options, done) {
    if (typeof host !== 'string' || !isOurs(host)) return origin.lookup.apply(this, arguments);
    const back = typeof options === 'function' ? options : done;
    const err = Object.assign(new Error(`croft exec: ${host} leads to croft through the proxy alone`), { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: host });
    return process.nextTick(back, err);
  };
  Object.assign(dns.lookup, origin.lookup);

  // Node's fetch has connections of its own. Its library is loaded at the first use, so the dispatcher is made then, of the same class. Deno,
  // which reads NODE_OPTIONS too, has a fetch that heeds proxy variables.
  if (typeof origin.fetch !== 'function' || process.versions.deno) return;
  let dispatcher;
  const connect = (o, done) => {
    const port = o.port || (o.protocol === 'https:' ? 443 : 80);
    tunnel(o.hostname, port, (err, socket) => {
      if (err || o.protocol !== 'https:') return done(err, socket);
      const safe = secure({ host: o.hostname, servername: o.servername }, socket);
      safe.once('secureConnect', () => { safe.removeListener('error', done); done(null, safe); });
      return safe.once('error', done);
    });
  };
  const dispatch = () => {
    if (!dispatcher) {
      void new Response(); // loads the library
      const Agent = globalThis[Symbol.for('undici.globalDispatcher.1')].constructor;
      dispatcher = new Agent({ connect });
    }
    return dispatcher;
  };
  globalThis.fetch = function fetch(input, init) {
    let url;
    try {
      url = new URL(typeof input === 'object' && input !== null && 'url' in input ? input.url : String(input));
    } catch {
      return origin.fetch.call(this, input, init);
    }
    if ((init && init.dispatcher) || !isOurs(url.hostname)) return origin.fetch.call(this, input, init);
    return origin.fetch.call(this, input, Object.assign({}, init, { dispatcher: dispatch() }));
  };
})();
