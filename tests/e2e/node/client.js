// One socket.io-client socket that a test drives, and everything that its handlers saw.
import { Manager } from "socket.io-client";
import msgpackParser from "socket.io-msgpack-parser";
import { abandon, drop } from "./drops.js";
import { decode, encode, report } from "./wire.js";

export class DrivenClient {
  // options: url, path, nsp, auth, transports, upgrade, reconnection (delays in ms), parser, extraHeaders,
  // keep (names of events that are counted and kept here instead of being reported one by one),
  // marks (keep a line "fresh" for each connect that is not a recovery), ack (see setAck), compress, timeout (ms for a connection to open), failover: { urls, delay } (whenever the connection
  // is lost or cannot be made, it goes to the next of these servers after so many ms). With `manager`, another client's, both share one connection.
  constructor(id, options, manager) {
    this.id = id;
    this.keep = new Set(options.keep ?? []);
    this.kept = [];
    this.marks = options.marks ?? false;
    this.sequence = 0;
    this.abandoned = [];
    this.failover = options.failover ?? null;
    this.failoverTimer = null;
    this.setAck(options.ack ?? "echo");
    this.ownsManager = manager === undefined;
    this.manager = manager ?? openManager(options);
    this.socket = this.manager.socket(options.nsp ?? "/", { auth: options.auth ?? undefined });
    if (options.pid) this.socket._pid = options.pid;
    if (options.offset) this.socket._lastOffset = options.offset;
    this.#watch();
    this.socket.connect();
  }

  // policy: "echo" answers with the event's own arguments, "never" does not answer, a list is the answer.
  setAck(policy) {
    this.ack = policy;
  }

  #watch() {
    const { socket, manager } = this;
    socket.on("connect", () => {
      if (this.marks && !socket.recovered) this.kept.push(["fresh", this.kept.length, null]);
      this.#tell("connect", this.state());
    });
    socket.on("disconnect", (reason, details) => {
      const response = details?.context?.responseText ?? null;
      this.#tell("disconnect", { reason, response, lastOffset: socket._lastOffset ?? null });
      if (reason !== "io client disconnect") this.#goOn();
    });
    socket.on("connect_error", (error) => {
      this.#tell("connect_error", { message: error.message, data: encode(error.data) });
      this.#goOn();
    });
    socket.onAny((event, ...args) => this.#received(event, args));
    if (this.ownsManager) {
      manager.on("open", () => manager.engine.on("upgrade", (transport) =>
        this.#tell("upgrade", { transport: transport.name })));
    }
  }

  #goOn() {
    if (this.failover === null || this.failoverTimer !== null) return;
    const { urls, delay } = this.failover;
    this.failoverTimer = setTimeout(() => {
      this.failoverTimer = null;
      this.manager.engine?.close(); // a server that refused a socket leaves its connection open
      this.move(urls[(urls.indexOf(this.manager.uri) + 1) % urls.length]);
      this.socket.connect();
    }, delay);
  }

  // The servers that `failover` goes on to; null stays where the socket is.
  follow(failover) {
    this.failover = failover;
    clearTimeout(this.failoverTimer);
    this.failoverTimer = null;
  }

  #received(event, args) {
    if (this.keep.has(event)) {
      this.kept.push(args);
      return;
    }
    const answer = typeof args.at(-1) === "function" ? args.at(-1) : null;
    this.#tell("event", { event, args: encode(args) });
    if (answer === null || this.ack === "never") return;
    answer(...(this.ack === "echo" ? args.slice(0, -1) : decode(this.ack)));
  }

  #tell(kind, fields) {
    this.sequence += 1;
    report({ t: kind, id: this.id, seq: this.sequence, ...fields });
  }

  state() {
    const { socket, manager } = this;
    return {
      connected: socket.connected,
      sid: socket.id ?? null,
      recovered: Boolean(socket.recovered),
      pid: socket._pid ?? null,
      lastOffset: socket._lastOffset ?? null,
      transport: manager.engine?.transport?.name ?? null,
      engineId: manager.engine?.id ?? null,
    };
  }

  move(url) {
    if (url) this.manager.uri = url;
  }

  // Lose the connection in one of the ways of drops.js; with `back`, connect again in the same turn of the
  // event loop in which the client notices.
  lose({ how, back, url }) {
    this.move(url);
    if (back) this.socket.once("disconnect", () => this.socket.connect());
    const left = drop(this.manager.engine, how);
    if (left) this.abandoned.push(left);
  }

  // Break off an attempt to connect, however far it has come. The manager does not hear of a WebSocket that ends
  // after it opened and before Engine.IO did, and would wait for its timeout.
  giveUp() {
    this.manager.engine?.transport?.ws?.terminate();
    this.manager._close();
  }

  // Stop reading from the WebSocket's TCP connection, as a client does that is too busy; or go on.
  stall({ on }) {
    const tcp = this.manager.engine.transport.ws._socket;
    if (on) tcp?.pause();
    else tcp?.resume();
  }

  reconnect(url) {
    this.move(url);
    this.socket.connect();
  }

  // Claim to be somebody: what the next CONNECT packet carries as pid and offset.
  pose({ pid, offset }) {
    if (pid !== undefined) this.socket._pid = pid ?? undefined;
    if (offset !== undefined) this.socket._lastOffset = offset ?? undefined;
  }

  emit({ event, args, ack, timeout }) {
    const decoded = decode(args ?? []);
    if (!ack) {
      this.socket.emit(event, ...decoded);
      return null;
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no acknowledgement of ${event}`)), timeout);
      this.socket.emit(event, ...decoded, (...answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
    });
  }

  dispose() {
    this.follow(null);
    this.socket.removeAllListeners();
    this.socket.offAny();
    this.socket.disconnect();
    if (this.ownsManager) {
      this.manager.reconnection(false);
      this.manager.disconnect();
    }
    for (const left of this.abandoned) abandon(left);
  }
}

function openManager(options) {
  return new Manager(options.url, {
    path: options.path ?? "/socket.io",
    transports: options.transports ?? ["websocket"],
    upgrade: options.upgrade ?? true,
    parser: options.parser === "msgpack" ? msgpackParser : undefined,
    extraHeaders: options.extraHeaders,
    query: options.query,
    reconnection: options.reconnection ?? false,
    reconnectionDelay: options.reconnectionDelay ?? 0,
    reconnectionDelayMax: options.reconnectionDelayMax ?? 200,
    randomizationFactor: options.randomizationFactor ?? 0,
    timeout: options.timeout ?? 10000,
    autoConnect: false,
    autoUnref: false,
    ...(options.compress === false ? { perMessageDeflate: false } : {}),
  });
}
