import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const socket = io(process.argv[2], {
  auth: { name: "ann" },
  transports: ["websocket"],
  reconnection: false, // you say when it comes back; by default it does by itself
});

socket.on("connect", () => {
  console.log(socket.recovered ? "recovered" : "new session", socket.id);
});
socket.on("disconnect", (reason) => console.log("disconnected:", reason));
socket.on("headline", (text) => console.log("headline:", text));

createInterface({ input: process.stdin }).on("line", (line) => {
  const [command, url] = line.split(" ");
  if (command === "drop") socket.io.engine.close(); // the connection ends, the session does not
  if (command === "back") {
    if (url) socket.io.uri = url; // what a load balancer does elsewhere
    socket.connect();
  }
});
