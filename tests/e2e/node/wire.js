// JSON lines between a test (Python) and this process: one object per line, in both directions.
//
// Bytes travel as {"$bin": base64}. `undefined` becomes null; a function (an acknowledgement) becomes
// {"$fn": true}, because it cannot leave the process.
import { createInterface } from "node:readline";

export function encode(value) {
  if (value === undefined || value === null) return null;
  if (typeof value === "function") return { $fn: true };
  if (Buffer.isBuffer(value)) return { $bin: value.toString("base64") };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return encode(Buffer.from(value));
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item)]));
  }
  return value;
}

export function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$bin === "string") return Buffer.from(value.$bin, "base64");
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item)]));
}

export function report(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

// Answer each line {q: number, do: name, ...} with {a: number, ok: value} or {a: number, error: text}.
// The process ends with its standard input, so that it never outlives the test that started it.
export function serve(commands) {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  lines.on("line", async (line) => {
    const request = JSON.parse(line);
    try {
      const command = commands[request.do];
      if (command === undefined) throw new Error(`unknown command ${request.do}`);
      report({ a: request.q, ok: encode(await command(request)) });
    } catch (error) {
      report({ a: request.q, error: String(error?.stack ?? error) });
    }
  });
  lines.on("close", () => process.exit(0));
  report({ t: "ready" });
}
