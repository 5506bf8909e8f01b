// An echo server with ws for Node.js, for clients under test.
//
//   node node_echo.mjs [PORT]     prints `listening on ws://127.0.0.1:PORT`, and `closed CODE` for each connection
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 0),
  maxPayload: 64 << 20,
  perMessageDeflate: process.argv.includes('--compress'),
});
server.on('listening', () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));
server.on('connection', (socket) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('error', (error) => console.log(`error ${error.message}`));
  socket.on('close', (code) => console.log(`closed ${code}`));
});
