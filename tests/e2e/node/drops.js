// Ways to lose a connection, from the most polite to the one that no server notices.
//
// These reach into private fields of engine.io-client 6.6 (`transport.ws`, `pollXhr`, `_onClose`), because its
// public interface can only close in good order.

// how:
//   "close"   the client closes its transport: a WebSocket close frame, or the CLOSE packet when polling
//   "abrupt"  the TCP connection ends without a word of the protocol (a killed tab); polling has no lasting
//             TCP connection, so there this is "silent"
//   "silent"  the client is gone, and the server's side of the connection stays open (a dead network)
// Returns a transport that is still open, for `abandon`.
export function drop(engine, how) {
  if (how === "close") {
    engine.close();
    return null;
  }
  if (how === "abrupt" && engine.transport.name === "websocket") {
    engine.transport.ws.terminate();
    return null;
  }
  if (how !== "abrupt" && how !== "silent") throw new Error(`unknown way to drop: ${how}`);
  return goSilent(engine);
}

function goSilent(engine) {
  const transport = engine.transport;
  transport.close = () => transport;
  transport.write = () => {};
  engine._onClose("transport close");
  transport.readyState = "closed"; // a poll that returns now must not be followed by another one
  transport.ws?._socket?.pause(); // nothing is read any more, as if the network had died
  return transport;
}

// Let go of a silent connection at the end of a test, so that the server hears of it at last.
export function abandon(transport) {
  transport.ws?.terminate();
  if (transport.name === "polling") {
    delete transport.write; // the real one
    transport.write([{ type: "close" }]);
    transport.pollXhr?.abort();
  }
}
