// Calls third-party Node clients for a Python test: one JSON request per line in, one answer out.
//   {"id":1,"open":{"client":"ccxt","options":{...},"urls":{...}}}   -> {"id":1,"value":<handle>}
//   {"id":2,"handle":1,"call":"fetchTicker","args":["SOL/USDC"]}     -> {"id":2,"value":...}
//   {"id":3,"handle":1,"listen":"streams.addMessageHandler"}         -> keeps what the callback gets
//   {"id":4,"handle":1,"messages":true}                              -> what was kept since
// A failure is {"id":2,"error":{"kinds":["InsufficientFunds","ExchangeError","Error"],"message":"..."}}.
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import bpx from 'bpx-api-client';
import ccxt from 'ccxt';

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
console.log = console.error; // bpx-api-client writes to the output that answers go to

const builders = {
  ccxt({ options, urls }) {
    const exchange = new ccxt.pro.backpack(options);
    Object.assign(exchange.urls.api, urls);
    return exchange;
  },
  'bpx-api-client': ({ options }) => new bpx.BpxApiClient(options),
};

const clients = new Map();
const received = new Map();

function open({ client, ...settings }) {
  const handle = clients.size + 1;
  clients.set(handle, builders[client](settings));
  received.set(handle, []);
  return handle;
}

function call(handle, path, args) {
  const steps = path.split('.');
  const name = steps.pop();
  const target = steps.reduce((owner, step) => owner[step], clients.get(handle));
  if (typeof target[name] !== 'function') throw new TypeError(`${path} is no function`);
  return target[name](...args.map((argument) => argument ?? undefined)); // ccxt tells them apart
}

function messages(handle) {
  return received.get(handle).splice(0);
}

async function perform(request) {
  if (request.open) return open(request.open);
  if (request.messages) return messages(request.handle);
  if (request.listen) {
    const kept = received.get(request.handle);
    return void call(request.handle, request.listen, [(message) => kept.push(message)]);
  }
  return await call(request.handle, request.call, request.args ?? []);
}

function kindsOf(error) {
  const kinds = [];
  for (let kind = error.constructor; kind?.name; kind = Object.getPrototypeOf(kind)) {
    kinds.push(kind.name);
  }
  return kinds;
}

async function serve(line) {
  const request = JSON.parse(line);
  try {
    answer({ id: request.id, value: (await perform(request)) ?? null });
  } catch (error) {
    answer({ id: request.id, error: { kinds: kindsOf(error), message: String(error.message) } });
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', serve);
await once(lines, 'close');
process.exit(0);
