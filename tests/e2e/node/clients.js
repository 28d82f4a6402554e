// One process that drives many socket.io-client sockets. Commands and reports: wire.js.
import { DrivenClient } from "./client.js";
import { serve } from "./wire.js";

const clients = new Map();

function find(id) {
  const client = clients.get(id);
  if (client === undefined) throw new Error(`no client ${id}`);
  return client;
}

serve({
  connect({ id, options, share }) {
    if (clients.has(id)) throw new Error(`client ${id} exists`);
    const manager = share ? find(share).manager : undefined;
    clients.set(id, new DrivenClient(id, options, manager));
  },
  disconnect({ id }) {
    find(id).socket.disconnect();
  },
  drop(request) {
    find(request.id).lose(request);
  },
  lose({ id, how }) {
    const client = find(id);
    if (client.socket.connected) client.lose({ how });
  },
  reconnect({ id, url }) {
    find(id).reconnect(url);
  },
  giveUp({ id }) {
    return find(id).giveUp();
  },
  stall(request) {
    find(request.id).stall(request);
  },
  follow({ id, failover }) {
    find(id).follow(failover);
  },
  move({ id, url }) {
    find(id).move(url);
  },
  emit(request) {
    return find(request.id).emit(request);
  },
  auth({ id, auth }) {
    find(id).socket.auth = auth;
  },
  pose(request) {
    find(request.id).pose(request);
  },
  ack({ id, policy }) {
    find(id).setAck(policy);
  },
  state({ id }) {
    return find(id).state();
  },
  kept({ id }) {
    return find(id).kept;
  },
  keptCount({ id }) {
    return find(id).kept.length;
  },
  dispose({ id }) {
    find(id).dispose();
    clients.delete(id);
  },
});
