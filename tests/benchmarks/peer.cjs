// The Node server under test: @socket.io/redis-streams-adapter, with connection state recovery.
//
//   node peer.cjs '{"url": "redis://...", "rooms": 0, "data": 0, "ping_interval": 600}'
//
// Takes the same commands as tests/benchmarks/server.py.
const { createRequire } = require("node:module");
const { createServer } = require("node:http");
const { createInterface } = require("node:readline");

const packages = createRequire(`${process.env.NODE_FOLDER}/package.json`);
const { Server } = packages("socket.io");
const { createClient } = packages("redis");
const { createAdapter } = packages("@socket.io/redis-streams-adapter");

const options = { rooms: 0, data: 0, ping_interval: 600, ...JSON.parse(process.argv[2]) };
const turn = () => new Promise(setImmediate);

function eventOf(number, size, moment) {
  const event = moment ? { n: number, t: moment, x: "" } : { n: number, x: "" };
  event.x = "x".repeat(Math.max(0, size - JSON.stringify(["e", event]).length));
  return event;
}

async function main() {
  const client = createClient({ url: options.url });
  await client.connect();
  const http = createServer();
  const io = new Server(http, {
    adapter: createAdapter(client, { maxLen: 1_000_000, ...(options.settings?.node ?? {}) }),
    connectionStateRecovery: { maxDisconnectionDuration: 120_000 },
    connectTimeout: 600_000, // a storm may take longer than the usual 45 s
    pingInterval: options.ping_interval * 1000,
    cors: { origin: "*" },
  });
  io.on("connection", (socket) => {
    for (let n = 0; n < options.rooms; n += 1) socket.join(`room-${n}`);
    if (options.extra_room) socket.join(options.extra_room);
    if (options.data) socket.data = { data: "x".repeat(options.data) };
  });

  const commands = {
    clients: () => io.of("/").sockets.size,
    async broadcast({ count, size }) {
      for (let n = 0; n < count; n += 1) {
        io.emit("e", eventOf(n, size));
        await turn();
      }
    },
    async flood({ count, size, missed, rooms }) {
      const every = missed ? Math.max(1, Math.floor(count / missed)) : 0;
      for (let n = 0; n < count; n += 1) {
        const isForAll = every && n % every === 0 && n / every < missed;
        (isForAll ? io : io.to(`elsewhere-${n % rooms}`)).emit("e", eventOf(n, size));
        if (n % 64 === 63) await turn();
      }
    },
    // Emitting returns at once in Node: "in flight" is what its own client has not written yet.
    async relay({ count, size, in_flight: inFlight, pause }) {
      const adapter = io.of("/").adapter;
      const publish = adapter.doPublish.bind(adapter);
      let flying = 0;
      let wake = () => {};
      adapter.doPublish = (message) => {
        flying += 1;
        const landed = () => {
          flying -= 1;
          wake();
        };
        const published = publish(message);
        published.then(landed, landed);
        return published;
      };
      for (let n = 0; n < count; n += 1) {
        while (flying >= inFlight) await new Promise((resolve) => (wake = resolve));
        io.to("relay").emit("e", eventOf(n, size, Number(process.hrtime.bigint())));
        if (pause) await new Promise((resolve) => setTimeout(resolve, pause * 1000));
      }
      adapter.doPublish = publish;
    },
  };

  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { do: name, ...fields } = JSON.parse(line);
    try {
      console.log(JSON.stringify({ ok: (await commands[name](fields)) ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ error: String(error?.stack ?? error) }));
    }
  });
  lines.on("close", () => process.exit(0));
  http.listen({ host: "127.0.0.1", port: 0, backlog: 16384 }, () => {
    console.log(JSON.stringify({ port: http.address().port }));
  });
}

main();
