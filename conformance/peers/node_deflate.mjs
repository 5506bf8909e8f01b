// Windows and contexts of permessage-deflate, with ws for Node.js as the peer.
//
//   node node_deflate.mjs client URL     drives an echo server
//   node node_deflate.mjs server         drives a client that echoes and requests cases like an Autobahn client
//
// Prints `ok NAME` or `not ok NAME WHY` for each check, separated by tabs, and `done N` at the end. As a server it
// first prints `listening on ws://127.0.0.1:PORT`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import WebSocket, { WebSocketServer } from 'ws';
import { check, printDone } from './checks.mjs';

const [role, url] = process.argv.slice(2);
const windows = [8, 9, 12, 15];
const combinations = windows.flatMap((serverMaxWindowBits) =>
  windows.flatMap((clientMaxWindowBits) =>
    [false, true].flatMap((serverNoContextTakeover) =>
      [false, true].map((clientNoContextTakeover) => ({
        serverMaxWindowBits,
        clientMaxWindowBits,
        // For a server, false means to refuse offers with this parameter.
        ...(serverNoContextTakeover && { serverNoContextTakeover }),
        ...(clientNoContextTakeover && { clientNoContextTakeover }),
        threshold: 0,
      })),
    ),
  ),
);

function nameOf({ serverMaxWindowBits, clientMaxWindowBits, serverNoContextTakeover, clientNoContextTakeover }) {
  const kept = (off) => (off ? '' : ' kept');
  return `server ${serverMaxWindowBits}${kept(serverNoContextTakeover)}, client ${clientMaxWindowBits}${kept(clientNoContextTakeover)}`;
}

function noise(size, seed) {
  const data = Buffer.alloc(size);
  let state = seed + 0x9e3779b9;
  for (let i = 0; i < size; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

const rows = Array.from({ length: 4000 }, (_, id) => ({ id, river: ['Tana', 'Teno', 'Tay'][id % 3], up: id % 2 > 0 }));
const json = Buffer.from(JSON.stringify(rows));
const messages = [0, 1, 2, 127, 128, 129, 1000, 4096, 20_000, 65_536, 131_072].flatMap((size) => [
  { data: json.subarray(0, size), binary: false },
  { data: noise(size, size), binary: true },
  { data: json.subarray(size % 999, (size % 999) + size), binary: true },
]);

function listen(socket) {
  socket.inbox = [];
  socket.on('message', (data, binary) => socket.inbox.push({ data, binary }));
  socket.on('error', (error) => (socket.failure = error));
  socket.closed = new Promise((resolve) => socket.on('close', resolve));
}

async function receive(socket) {
  while (socket.inbox.length === 0) {
    await Promise.race([
      once(socket, 'message'),
      socket.closed.then((code) => {
        throw new Error(`expected a message, got a close with ${code}, ${socket.failure?.message ?? 'no error'}`);
      }),
    ]);
  }
  return socket.inbox.shift();
}

async function expectBack(socket, { data, binary }) {
  const answer = await receive(socket);
  assert.equal(answer.binary, binary, 'kind of message');
  assert.ok(answer.data.equals(data), `the echo differs, its length is ${answer.data.length} of ${data.length}`);
}

async function talk(socket) {
  assert.ok(socket.extensions.includes('permessage-deflate'), `extensions: '${socket.extensions}'`);
  const before = socket._socket.bytesRead;
  const long = { data: json.subarray(0, 65_536), binary: false };
  socket.send(long.data, long);
  await expectBack(socket, long);
  const read = socket._socket.bytesRead - before;
  assert.ok(read < long.data.length / 2, `not compressed: ${read} bytes for ${long.data.length}`);
  for (const message of messages) {
    socket.send(message.data, message);
    await expectBack(socket, message);
  }
  // Many messages without waiting, some in fragments, some not compressed.
  for (const [i, { data, binary }] of messages.entries()) {
    const [third, two] = [Math.floor(data.length / 3), Math.floor((data.length * 2) / 3)];
    const compress = i % 4 > 0;
    socket.send(data.subarray(0, third), { binary, compress, fin: false });
    socket.send(data.subarray(third, two), { binary, compress, fin: false });
    socket.send(data.subarray(two), { binary, compress, fin: true });
    socket.send(data, { binary, compress });
  }
  for (const message of messages) {
    await expectBack(socket, message);
    await expectBack(socket, message);
  }
  socket.close(1000);
  assert.equal(await socket.closed, 1000, 'close code');
}

if (role === 'client') {
  for (const perMessageDeflate of combinations) {
    await check(nameOf(perMessageDeflate), async () => {
      const socket = new WebSocket(url, [], { perMessageDeflate });
      listen(socket);
      await once(socket, 'open');
      await talk(socket);
    });
  }
  printDone();
} else {
  const server = createServer();
  server.on('upgrade', async (request, stream, head) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    const plain = pathname !== '/runCase';
    const perMessageDeflate = plain ? false : combinations[Number(searchParams.get('case')) - 1];
    const acceptor = new WebSocketServer({ noServer: true, perMessageDeflate });
    const socket = await new Promise((resolve) => acceptor.handleUpgrade(request, stream, head, resolve));
    listen(socket);
    if (plain) {
      if (pathname === '/getCaseCount') socket.send(String(combinations.length));
      socket.close(1000);
      await socket.closed;
      if (pathname === '/updateReports') {
        printDone();
        server.close();
      }
    } else {
      await check(nameOf(perMessageDeflate), () => talk(socket));
      socket.terminate();
    }
  });
  server.listen(0, '127.0.0.1', () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));
}
