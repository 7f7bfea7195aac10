package runtimes

import (
	"os/exec"
	"testing"
)

// TestNodeFrames gives frames to the bootstrap in pieces of every size.
func TestNodeFrames(t *testing.T) {
	in := nodeOf(t, 20)
	cmd := exec.CommandContext(t.Context(), in.Executable, "-e", `
const { Connection } = require('./node/frames.js');
const frame = (kind, header, body) => {
  const text = Buffer.from(header), b = Buffer.alloc(9 + text.length + body.length);
  b.writeUInt32LE(b.length - 4, 0); b[4] = kind.charCodeAt(0); b.writeUInt32LE(text.length, 5); text.copy(b, 9); body.copy(b, 9 + text.length);
  return b;
};
const all = Buffer.concat([frame('A', '{"handler":"ü"}', Buffer.alloc(0)), frame('N', '{"id":"1"}', Buffer.from('event')), frame('N', '', Buffer.alloc(300, 1)), frame('X', '{}', Buffer.from('x'))]);
for (let size = 1; size <= all.length; size++) {
  const c = Object.assign(Object.create(Connection.prototype), { held: Buffer.alloc(0), parts: [], size: 0, frames: [], waiter: null });
  for (let at = 0; at < all.length; at += size) c.take(Buffer.from(all.subarray(at, at + size)));
  const got = JSON.stringify(c.frames.map((f) => [f.kind, f.header, f.body.length]));
  if (got !== '[["A",{"handler":"ü"},0],["N",{"id":"1"},5],["N",{},300],["X",{},1]]' || c.size !== 0) { console.log(size, got, c.size); process.exit(1); }
}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
