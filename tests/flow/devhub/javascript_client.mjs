// Microsoft's own client against the hub whose address is given; prints one JSON object a line about what it sees.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [address, modules] = process.argv.slice(2);
const { HubConnectionBuilder, HubConnectionState, LogLevel } = createRequire(`${modules}/`)("@microsoft/signalr");
const say = (event, details = {}) => console.log(JSON.stringify({ event, ...details }));

const connection = new HubConnectionBuilder()
  .withUrl(`${address}?storeId=7`)
  .withAutomaticReconnect([0, 50, 50, 50])
  .configureLogging(LogLevel.None)
  .build();
connection.on("ReceivePriceUpdate", (price) => say("price", { price }));
connection.on("HeartbeatResponse", () => say("heartbeatResponse"));
connection.on("AskStore", (question) => `the answer to ${question}`);
connection.onreconnected((id) => say("reconnected", { id }));
connection.onclose((error) => say("closed", { error: error?.message ?? null }));

const commands = {
  invoke: async ({ method, args }) => {
    try {
      say("result", { result: await connection.invoke(method, ...args) });
    } catch (error) {
      say("failed", { error: error.message });
    }
  },
  stop: async () => {
    await connection.stop();
    say("stopped", { state: connection.state, disconnected: connection.state === HubConnectionState.Disconnected });
    process.exit(0);
  },
};

await connection.start();
say("connected", { id: connection.connectionId });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  await commands[command.do](command);
}
