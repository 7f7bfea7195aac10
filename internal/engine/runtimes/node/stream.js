'use strict';

// Answers that are sent while they are produced.

const { Writable } = require('node:stream');
const errors = require('./errors.js');

const MAX_CHUNK = 64 * 1024;
const PRELUDE_TYPE = 'application/vnd.awslambda.http-integration-response';
const PRELUDE_END = Buffer.alloc(8);

// MAX_TRAILER bounds in bytes the error of an answer that has begun, which goes into a frame's header.
const MAX_TRAILER = 32 << 10;

// ResponseStream is what a streaming handler writes to. The server's pace is the writer's: a chunk is done when the socket has taken it.
class ResponseStream extends Writable {
  #channel;
  #type = 'application/octet-stream';
  #begun = false;

  constructor(channel, highWaterMark) {
    super({ highWaterMark });
    this.#channel = channel;
  }

  setContentType(type) {
    if (this.#begun) {
      throw new errors.InvalidStreamingOperation('Cannot set content-type, too late.');
    }
    this.#type = type;
  }

  write(chunk, encoding, callback) {
    if (typeof chunk !== 'string' && !Buffer.isBuffer(chunk) && chunk?.constructor !== Uint8Array) {
      chunk = JSON.stringify(chunk);
    }
    return super.write(chunk, encoding, callback);
  }

  #begin() {
    if (this.#begun) {
      return;
    }
    this.#begun = true;
    this.#channel.write('S', { type: this.#type });
    this._onBeforeFirstWrite?.((chunk) => this.#send(Buffer.from(chunk)));
  }

  #send(bytes, sent) {
    for (let at = 0; at < bytes.length; at += MAX_CHUNK) {
      const end = at + MAX_CHUNK;
      this.#channel.write('C', null, bytes.subarray(at, end), end >= bytes.length ? sent : undefined);
    }
  }

  _write(chunk, _, callback) {
    this.#begin();
    if (chunk.length) {
      this.#send(chunk, callback);
    } else {
      callback();
    }
  }

  _final(callback) {
    this.#begin();
    callback();
  }

  // finished waits until the stream has ended.
  finished() {
    return new Promise((resolve, reject) => {
      if (this.writableFinished) {
        resolve();
      }
      this.once('finish', resolve);
      this.once('error', reject);
    });
  }

  // close ends the invocation, with an error if there is one.
  close(error, sent) {
    if (error === undefined) {
      this.#channel.write('Z', null, undefined, sent);
      return;
    }
    const document = errors.document(error);
    let text = Buffer.from(JSON.stringify(document));
    if (this.#begun) {
      if (text.length > MAX_TRAILER) {
        text = Buffer.from(JSON.stringify({ errorType: String(document.errorType).slice(0, 256), errorMessage: String(document.errorMessage).slice(0, 4096) }));
      }
      this.#channel.write('Z', { type: document.errorType, error: text.toString('base64') }, undefined, sent);
    } else {
      this.#channel.write('E', { type: document.errorType }, text, sent);
    }
    this.destroy();
  }
}

// HttpResponseStream puts status and headers before an answer that becomes an HTTP response.
class HttpResponseStream {
  static from(stream, prelude) {
    stream.setContentType(PRELUDE_TYPE);
    const text = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(text);
      write(PRELUDE_END);
    };
    return stream;
  }
}

module.exports = { ResponseStream, HttpResponseStream };
