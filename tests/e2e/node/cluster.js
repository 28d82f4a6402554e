// A Node server in a cluster: @socket.io/redis-streams-adapter, and every operation that concerns all servers.
//
//   node cluster.js --redis unix:///path --stream-name NAME [--client ioredis] [--sharded]
//
// Or --redis redis+cluster://127.0.0.1:7000,127.0.0.1:7001
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { Server } from "socket.io";
import { decode, encode, report, serve } from "./wire.js";

const { values: flags } = parseArgs({
  options: {
    redis: { type: "string" },
    "stream-name": { type: "string" },
    "stream-count": { type: "string", default: "1" },
    client: { type: "string", default: "redis" },
    path: { type: "string", default: "/socket.io" },
    sharded: { type: "boolean", default: false },
  },
});

const CLUSTER = "redis+cluster://";

function rootNodes() {
  return flags.redis.slice(CLUSTER.length).split(",").map((place) => {
    const [host, port] = place.split(":");
    return { host, port: Number(port) };
  });
}

async function connectToCluster() {
  if (flags.client === "ioredis") {
    const { Cluster } = await import("ioredis");
    return new Cluster(rootNodes(), { shardedSubscribers: flags.sharded });
  }
  const { createCluster } = await import("redis");
  const client = createCluster({
    rootNodes: rootNodes().map(({ host, port }) => ({ url: `redis://${host}:${port}` })),
  });
  client.on("error", () => {});
  await client.connect();
  return client;
}

async function connect() {
  if (flags.redis.startsWith(CLUSTER)) return connectToCluster();
  const path = flags.redis.startsWith("unix://") ? flags.redis.slice("unix://".length) : undefined;
  if (flags.client === "ioredis") {
    const { Redis } = await import("ioredis");
    return path ? new Redis(path) : new Redis(flags.redis);
  }
  const { createClient } = await import("redis");
  const client = createClient(path ? { socket: { path } } : { url: flags.redis });
  client.on("error", () => {});
  await client.connect();
  return client;
}

const adapter = createAdapter(await connect(), {
  streamName: flags["stream-name"],
  streamCount: Number(flags["stream-count"]),
  channelPrefix: flags["stream-name"],
  useShardedPubSub: flags.sharded,
});
const http = createServer();
const io = new Server(http, {
  pingInterval: 300,
  pingTimeout: 200,
  path: flags.path,
  adapter,
  connectionStateRecovery: { skipMiddlewares: false },
});

function serveClient(socket) {
  socket.data.host = "node";
  report({ t: "connection", sid: socket.id, recovered: socket.recovered });
  socket.on("disconnect", (reason) => report({ t: "disconnect", sid: socket.id, reason }));
  socket.onAny((event, ...args) => {
    if (typeof args.at(-1) === "function") args.pop()(...args);
  });
}

for (const name of ["/", "/chat", "/quiet"]) io.of(name).on("connection", serveClient);

io.on("ask", (...args) => {
  const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
  report({ t: "ask", args: encode(args) });
  answer?.({ from: "node", args });
});

io.on("warm", () => report({ t: "warm" }));

function target({ to, except, nsp, local }) {
  let chosen = io.of(nsp ?? "/");
  if (to) chosen = chosen.to(to);
  if (except) chosen = chosen.except(except);
  return local ? chosen.local : chosen;
}

http.listen(0, "127.0.0.1", () => {
  serve({
    port: () => http.address().port,
    rooms: ({ sid, nsp }) => [...(io.of(nsp ?? "/").sockets.get(sid)?.rooms ?? [])],
    emit(request) {
      target(request).emit(request.event, ...decode(request.args ?? []));
    },
    join: (request) => target(request).socketsJoin(request.rooms),
    leave: (request) => target(request).socketsLeave(request.rooms),
    disconnectSockets: (request) => target(request).disconnectSockets(request.close ?? false),
    async fetchSockets(request) {
      const sockets = await target(request).fetchSockets();
      return sockets.map(({ id, rooms, data, handshake }) => ({ id, rooms: [...rooms], data, handshake }));
    },
    async call(request) {
      const asking = target(request).timeout(request.timeout ?? 2000);
      try {
        return { responses: await asking.emitWithAck(request.event, ...decode(request.args ?? [])) };
      } catch (error) {
        return { responses: error.responses, error: error.message };
      }
    },
    serverSideEmit: ({ event, args }) => io.serverSideEmit(event, ...decode(args)),
    serverSideCall: ({ event, args }) => io.serverSideEmitWithAck(event, ...decode(args)),
    serverCount: () => io.of("/").adapter.serverCount(),
  });
});
