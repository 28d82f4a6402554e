// A Node server with the real adapter does what it is told, and keeps one client's session.
//
// Run with its packages' folder as the working directory and this text on standard input. Arguments: the
// path of the store's socket, the name of the stream, and that of a
// file with a JSON list of orders. It answers with one JSON line about the session that it saved.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { decode } from "./wire.js";

const [path, streamName, orders] = process.argv.slice(2);
const store = createClient({ socket: { path } });
await store.connect();
const http = createServer();
const io = new Server(http, {
  adapter: createAdapter(store, { streamName, sessionKeyPrefix: `${streamName}:session:` }),
  connectionStateRecovery: { maxDisconnectionDuration: 60_000 },
});

// What JSON orders cannot say.
const OWN = {
  date: new Date("2026-11-21T12:00:00.123Z"),
  nothing: undefined,
  "not a number": NaN,
  "typed array": new Uint8Array([1, 2, 3]),
};

function carryOut({ act, namespace, rooms, excluded, volatile, args, own }) {
  let to = io.of(namespace ?? "/");
  for (const room of rooms ?? []) to = to.to(room);
  for (const room of excluded ?? []) to = to.except(room);
  if (volatile) to = to.volatile;
  to[act](...decode(args), ...(own ?? []).map((name) => OWN[name]));
}

JSON.parse(readFileSync(orders, "utf8")).forEach(carryOut);

// A client that enters a room, gets data, receives nothing, and loses its transport. It has a namespace of its
// own: Node carries out an order on its own clients when the store has answered, which may be after this one came,
// and one of the orders lets all of its namespace join rooms.
await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
const saved = new Promise((resolve) => {
  io.of("/kept").on("connection", (socket) => {
    socket.join(["news", "sport"]);
    socket.data = { user: { id: 5, name: "Ada" }, key: Buffer.from([0, 255]) };
    socket.on("disconnect", () => resolve({ sid: socket.id, pid: socket.pid }));
    socket.emit("ready");
  });
});
const client = connect(`http://127.0.0.1:${http.address().port}/kept`, {
  transports: ["websocket"],
  reconnection: false, // Node deletes a session that it reads
});
client.on("ready", () => client.io.engine.close());
console.log(JSON.stringify(await saved));
await store.ping(); // whatever was sent before has been stored
process.exit(0);
