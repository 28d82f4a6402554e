// The peer: a Node Socket.IO server, the yardstick for the harness and for what a client may expect.
//
//   node peer.js                                  connection state recovery in memory, or none
//   node peer.js --redis unix:///path/to/socket   with @socket.io/redis-streams-adapter
//   node peer.js --msgpack                        speaking MessagePack
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";
import { decode, report, serve } from "./wire.js";

const { values: flags } = parseArgs({
  options: {
    redis: { type: "string" },
    "stream-name": { type: "string", default: "socket.io" },
    "no-recovery": { type: "boolean", default: false },
    msgpack: { type: "boolean", default: false },
  },
});

async function openAdapter() {
  if (!flags.redis) return undefined;
  const { createClient } = await import("redis");
  const { createAdapter } = await import("@socket.io/redis-streams-adapter");
  const client = createClient(
    flags.redis.startsWith("unix://")
      ? { socket: { path: flags.redis.slice("unix://".length) } }
      : { url: flags.redis },
  );
  await client.connect();
  return createAdapter(client, { streamName: flags["stream-name"] });
}

const adapter = await openAdapter();
const parser = flags.msgpack ? (await import("socket.io-msgpack-parser")).default : undefined;
const http = createServer();
const io = new Server(http, {
  pingInterval: 300,
  pingTimeout: 200,
  ...(adapter ? { adapter } : {}),
  ...(parser ? { parser } : {}),
  ...(flags["no-recovery"] ? {} : { connectionStateRecovery: { skipMiddlewares: false } }),
});

io.on("connection", (socket) => {
  report({ t: "connection", sid: socket.id, recovered: socket.recovered });
  socket.on("disconnect", () => report({ t: "disconnect", sid: socket.id }));
  socket.onAny((event, ...args) => {
    if (typeof args.at(-1) === "function") args.pop()(...args);
  });
});

http.listen(0, "127.0.0.1", () => {
  serve({
    port: () => http.address().port,
    emit({ event, args, to, except, volatile: isVolatile, nsp }) {
      let target = io.of(nsp ?? "/");
      if (to) target = target.to(to);
      if (except) target = target.except(except);
      if (isVolatile) target = target.volatile;
      target.emit(event, ...decode(args ?? []));
    },
    join: ({ sid, rooms }) => io.in(sid).socketsJoin(rooms),
    leave: ({ sid, rooms }) => io.in(sid).socketsLeave(rooms),
    disconnect: ({ sid }) => io.in(sid).disconnectSockets(),
  });
});
