'use strict';

// A frame is: u32 length of what follows, u8 kind, u32 length of the header, header (JSON), body. All little-endian.

const net = require('node:net');

const PREFIX = 9;
const NONE = Buffer.alloc(0);

// Connection speaks frames over a descriptor. Frames that come are taken one by one, with next.
class Connection {
  constructor(fd) {
    this.held = NONE; // what has come of frames that are not complete
    this.parts = [];
    this.size = 0;
    this.frames = [];
    this.waiter = null;
    this.socket = new net.Socket({ fd, readable: true, writable: true, allowHalfOpen: false });
    this.socket.on('data', (chunk) => this.take(chunk));
    // The server has gone, and with it the reason to be here.
    const gone = () => process.exit(1);
    this.socket.on('error', gone);
    this.socket.on('close', gone);
  }

  take(chunk) {
    this.parts.push(chunk);
    this.size += chunk.length;
    if (this.size < this.wanted()) {
      return;
    }
    this.held = this.parts.length === 1 ? chunk : Buffer.concat(this.parts, this.size);
    while (this.held.length >= 4 && this.held.length >= 4 + this.held.readUInt32LE(0)) {
      const end = 4 + this.held.readUInt32LE(0);
      this.deliver(this.held.subarray(0, end));
      this.held = this.held.subarray(end);
    }
    this.parts = this.held.length ? [this.held] : [];
    this.size = this.held.length;
  }

  // wanted returns how many bytes the next frame has, as far as that is known: a large event comes in many chunks, which are joined once.
  wanted() {
    const first = this.parts[0];
    return first.length >= 4 ? 4 + first.readUInt32LE(0) : 0;
  }

  deliver(frame) {
    const end = PREFIX + frame.readUInt32LE(5);
    const header = end > PREFIX ? JSON.parse(frame.toString('utf8', PREFIX, end)) : {};
    const got = { kind: String.fromCharCode(frame[4]), header, body: frame.subarray(end) };
    if (this.waiter) {
      const waiter = this.waiter;
      this.waiter = null;
      waiter(got);
    } else {
      this.frames.push(got);
    }
  }

  // next waits for a frame, and keeps the process alive until there is one.
  next() {
    this.socket.ref();
    return new Promise((resolve) => {
      if (this.frames.length) {
        resolve(this.frames.shift());
      } else {
        this.waiter = resolve;
      }
    });
  }

  // rest lets the process's work alone decide whether it stays alive.
  rest() {
    this.socket.unref();
  }

  // write sends a frame. It returns whether the server keeps up; sent is called when the frame has left.
  write(kind, header, body = NONE, sent = undefined) {
    // A header has a bound, and names of errors have none.
    const text = header ? Buffer.from(JSON.stringify({ ...header, type: String(header.type ?? '').slice(0, 256) })) : NONE;
    const start = Buffer.allocUnsafe(PREFIX);
    start.writeUInt32LE(PREFIX - 4 + text.length + body.length, 0);
    start[4] = kind.charCodeAt(0);
    start.writeUInt32LE(text.length, 5);
    if (body.length < 16384) {
      return this.socket.write(Buffer.concat([start, text, body]), sent);
    }
    this.socket.cork();
    this.socket.write(start);
    this.socket.write(text);
    const room = this.socket.write(body, sent);
    this.socket.uncork();
    return room;
  }
}

module.exports = { Connection };
