// Drives an echo server with the client of ws for Node.js.
//
//   node node_client.mjs URL SUBPROTOCOL compress|plain
//
// The server must support this subprotocol and accept messages of up to 2 MiB. Prints `ok NAME` or
// `not ok NAME WHY` for each check, separated by tabs, and `done N` at the end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';
import { check, printDone } from './checks.mjs';

const [url, known, compression] = process.argv.slice(2);
const compress = compression === 'compress';

const opened = [];

async function open(protocols = []) {
  const socket = new WebSocket(url, protocols, { maxPayload: 64 << 20 });
  opened.push(socket);
  socket.inbox = [];
  socket.on('message', (data, binary) => socket.inbox.push({ data, binary }));
  // Always listen: an error without a listener would end the program.
  socket.on('error', (error) => (socket.failure = error));
  socket.closed = new Promise((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  await once(socket, 'open');
  return socket;
}

async function receive(socket) {
  while (socket.inbox.length === 0) {
    await Promise.race([
      once(socket, 'message'),
      socket.closed.then(({ code }) => {
        throw new Error(`expected a message, got a close with ${code}`);
      }),
    ]);
  }
  return socket.inbox.shift();
}

async function finish(socket) {
  socket.close(1000);
  const { code } = await socket.closed;
  assert.equal(code, 1000, 'close code');
}

async function echoes(socket, data, binary) {
  socket.send(data, { binary });
  const answer = await receive(socket);
  assert.equal(answer.binary, binary, 'kind of message');
  assert.ok(answer.data.equals(Buffer.from(data)), `the echo differs, its length is ${answer.data.length}`);
}

function bytes(size) {
  const data = Buffer.alloc(size);
  let state = 0x9e3779b9;
  for (let i = 0; i < size; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

const sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20];

await check('extension is negotiated as configured', async () => {
  const socket = await open();
  assert.equal(socket.extensions.includes('permessage-deflate'), compress, `extensions: '${socket.extensions}'`);
  await finish(socket);
});

for (const size of sizes) {
  await check(`text of ${size} bytes`, async () => {
    const socket = await open();
    await echoes(socket, 'x'.repeat(size), false);
    await finish(socket);
  });
  await check(`binary of ${size} bytes`, async () => {
    const socket = await open();
    await echoes(socket, bytes(size), true);
    await finish(socket);
  });
}

await check('all sizes in turn on one connection', async () => {
  const socket = await open();
  for (const size of sizes) {
    await echoes(socket, bytes(size), true);
    await echoes(socket, 'y'.repeat(size), false);
  }
  await finish(socket);
});

await check('100 messages without waiting, in order', async () => {
  const socket = await open();
  for (let i = 0; i < 100; i += 1) socket.send(`message ${i}`);
  for (let i = 0; i < 100; i += 1) assert.equal((await receive(socket)).data.toString(), `message ${i}`);
  await finish(socket);
});

const multi = 'naïve Ærøskøbing 鮭は川を遡る 🐟🏔️ \u{10ffff}\u0000end';

await check('multi-byte text', async () => {
  const socket = await open();
  await echoes(socket, multi, false);
  await echoes(socket, multi.repeat(2000), false);
  await finish(socket);
});

await check('fragmented text, split inside characters', async () => {
  const socket = await open();
  const data = Buffer.from(multi);
  for (let i = 0; i < data.length; i += 1) {
    socket.send(data.subarray(i, i + 1), { binary: false, compress, fin: i === data.length - 1 });
  }
  const answer = await receive(socket);
  assert.equal(answer.binary, false, 'kind of message');
  assert.equal(answer.data.toString(), multi);
  await finish(socket);
});

await check('fragmented binary, with a ping between', async () => {
  const socket = await open();
  const data = bytes(30_000);
  socket.send(data.subarray(0, 10_000), { binary: true, compress, fin: false });
  const pong = once(socket, 'pong');
  socket.ping('between');
  assert.equal((await pong)[0].toString(), 'between', 'payload of the pong');
  assert.equal(socket.inbox.length, 0, 'the message came back before its end');
  socket.send(data.subarray(10_000, 20_000), { binary: true, compress, fin: false });
  socket.send(data.subarray(20_000), { binary: true, compress, fin: true });
  const answer = await receive(socket);
  assert.equal(answer.binary, true, 'kind of message');
  assert.ok(answer.data.equals(data), 'the echo differs');
  await finish(socket);
});

for (const size of [0, 4, 125]) {
  await check(`ping with ${size} bytes`, async () => {
    const socket = await open();
    const payload = bytes(size);
    const pong = once(socket, 'pong');
    socket.ping(payload);
    assert.ok((await pong)[0].equals(payload), 'payload of the pong');
    await finish(socket);
  });
}

await check('an unsolicited pong is dropped', async () => {
  const socket = await open();
  socket.pong('unsolicited');
  await echoes(socket, 'still here', false);
  await finish(socket);
});

await check('close with 4001 and a reason', async () => {
  const socket = await open();
  socket.close(4001, 'the river is frozen ❄');
  const { code, reason } = await socket.closed;
  assert.equal(code, 4001, 'close code');
  assert.equal(reason, 'the river is frozen ❄', 'close reason');
});

await check('close without a code', async () => {
  const socket = await open();
  socket.close();
  const { code } = await socket.closed;
  assert.ok(code === 1005 || code === 1000, `close code ${code}`);
});

await check('subprotocol: one of two offered is known', async () => {
  const socket = await open(['unknown.example', known]);
  assert.equal(socket.protocol, known);
  await echoes(socket, 'hi', false);
  await finish(socket);
});

await check('subprotocol: none offered, none answered', async () => {
  const socket = await open();
  assert.equal(socket.protocol, '');
  await finish(socket);
});

await check('subprotocol: only an unknown one offered, no header answered', async () => {
  // ws then fails the connection, so check the answer itself.
  const socket = new WebSocket(url, ['unknown.example']);
  socket.on('error', () => {});
  const [response] = await once(socket, 'upgrade');
  socket.terminate();
  assert.equal(response.statusCode, 101, 'status');
  assert.equal(response.headers['sec-websocket-protocol'], undefined, 'header');
});

await check('200 connections at a time', async () => {
  const sockets = await Promise.all(Array.from({ length: 200 }, () => open()));
  await Promise.all(sockets.map((socket, i) => echoes(socket, `${i} `.repeat(300), false)));
  await Promise.all(sockets.map((socket, i) => echoes(socket, bytes(1000 + i), true)));
  await Promise.all(sockets.map(finish));
});

await check('a message above the limit is closed with 1009', async () => {
  const socket = await open();
  socket.send(bytes((2 << 20) + 1));
  const { code } = await socket.closed;
  assert.equal(code, 1009, 'close code');
});

await check('a message of exactly the limit', async () => {
  const socket = await open();
  await echoes(socket, bytes(2 << 20), true);
  await finish(socket);
});

for (const socket of opened) socket.terminate();
printDone();
