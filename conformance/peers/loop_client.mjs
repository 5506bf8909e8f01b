// Drives an echo server above its high-water mark, and closes from either side, with ws for Node.js.
//
//   node loop_client.mjs URL [CERTIFICATE]
//
// The server must accept messages of up to 1 MiB. Prints `ok NAME` or `not ok NAME WHY` for each
// check, separated by tabs, and `done N` at the end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import WebSocket from 'ws';
import { check, printDone } from './checks.mjs';

const [url, certificate] = process.argv.slice(2);
const options = { perMessageDeflate: false, ...(certificate && { ca: readFileSync(certificate) }) };
// Far less than 10 s, which a closing handshake takes if one end does not notice it.
const prompt = 3000;
// The first one alone exceeds the high-water mark of 64 KiB, and the short ones do together.
const messages = ['a'.repeat(70_000), 'hi', 'b'.repeat(200_000), ...Array(60).fill('c'.repeat(2000)), '', 'd'.repeat(1 << 20)];
const opened = [];

async function open() {
  const socket = new WebSocket(url, options);
  opened.push(socket);
  socket.inbox = [];
  socket.on('message', (data) => socket.inbox.push(data.toString()));
  // Always listen: an error without a listener would end the program.
  socket.on('error', () => {});
  socket.closed = new Promise((resolve) => socket.on('close', (code) => resolve(code)));
  await once(socket, 'open');
  return socket;
}

await check('messages above the mark, pipelined, and a close in the same run of bytes', async () => {
  const socket = await open();
  for (const message of messages) socket.send(message);
  const start = performance.now();
  socket.close(1000, 'done');
  assert.equal(await socket.closed, 1000, 'close code');
  assert.deepEqual(socket.inbox.map((text) => text.length), messages.map((text) => text.length));
  assert.ok(socket.inbox.every((text, i) => text === messages[i]), 'an echo differs');
  assert.ok(performance.now() - start < 2 * prompt, 'the close took too long');
});

await check('the client closes', async () => {
  const socket = await open();
  const start = performance.now();
  socket.close(4001);
  assert.equal(await socket.closed, 4001, 'close code');
  assert.ok(performance.now() - start < prompt, 'the close took too long');
});

await check('the server closes', async () => {
  const socket = await open();
  const start = performance.now();
  // Text that is not UTF-8.
  socket._socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]));
  assert.equal(await socket.closed, 1007, 'close code');
  assert.ok(performance.now() - start < prompt, 'the close took too long');
});

await check('50 connections at a time', async () => {
  const sockets = await Promise.all(Array.from({ length: 50 }, () => open()));
  for (const socket of sockets) {
    for (const text of ['x'.repeat(70_000), 'hi']) socket.send(text);
    socket.close(1000);
  }
  assert.ok((await Promise.all(sockets.map((socket) => socket.closed))).every((code) => code === 1000), 'close codes');
  assert.ok(sockets.every((socket) => socket.inbox.length === 2), 'an echo is missing');
});

for (const socket of opened) socket.terminate();
printDone();
