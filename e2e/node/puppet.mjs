// What a test has a SignalR client of the official make do, in Node or on a page. It takes orders
// and says what has come of them; `e2e/README.md` lists both. The Python peers obey the same.

import { follow } from './follow.mjs';

/** Makes a client. `parts` is where its classes come from; gives what obeys an order. */
export function puppet(parts, wish, say) {
  const connection = build(parts, wish);
  const subscriptions = new Map();
  const connectionId = () => connection.connectionId ?? null;
  connection.onreconnecting((error) => say({ event: 'reconnecting', error: text(error) }));
  connection.onreconnected(() => say({ event: 'reconnected', connection: connectionId() }));
  connection.onclose((error) => say({ event: 'closed', error: text(error) }));

  const recover = wish.follow ? follow(connection, null, () => say({ event: 'loads' })) : async () => {};
  connection.onreconnected(() => recover().then(() => say({ event: 'recovered' })));

  const orders = {
    start: () =>
      connection.start().then(recover).then(
        () => say({ event: 'started', connection: connectionId() }),
        (error) => say({ event: 'failed', error: text(error) }),
      ),
    stop: () => connection.stop(),
    on: ({ method }) =>
      connection.on(method, (...given) => say({ event: 'called', method, arguments: given.map(plain) })),
    answer: ({ method, result, error }) =>
      connection.on(method, () => {
        if (error) throw new Error(error);
        return rich(result);
      }),
    send: ({ call, method, arguments: given }) =>
      connection.send(method, ...given.map(rich)).then(
        () => say({ event: 'sent', call }),
        (error) => say({ event: 'refused', call, error: text(error) }),
      ),
    invoke: ({ call, method, arguments: given }) => settle(call, connection.invoke(method, ...given.map(rich))),
    upload: ({ call, method, arguments: given, items, error }) => {
      const subject = new parts.Subject();
      settle(call, connection.invoke(method, ...given.map(rich), subject));
      items.forEach((item) => subject.next(rich(item)));
      if (error) subject.error(new Error(error));
      else subject.complete();
    },
    stream: ({ call, method, arguments: given }) =>
      subscriptions.set(
        call,
        connection.stream(method, ...given.map(rich)).subscribe({
          next: (item) => say({ event: 'item', call, item: plain(item) }),
          complete: () => say({ event: 'answered', call, result: null }),
          error: (error) => say({ event: 'refused', call, error: text(error) }),
        }),
      ),
    cancel: ({ call }) => subscriptions.get(call).dispose(),
  };

  function settle(call, promise) {
    promise.then(
      (result) => say({ event: 'answered', call, result: plain(result) }),
      (error) => say({ event: 'refused', call, error: text(error) }),
    );
  }

  return (order) => orders[order.order](order);
}

function build({ HubConnectionBuilder, HttpTransportType, LogLevel, JsonHubProtocol, MessagePackHubProtocol }, wish) {
  const options = { skipNegotiation: Boolean(wish.skipNegotiation) };
  if (wish.transport) options.transport = HttpTransportType[wish.transport];
  if (wish.headers) options.headers = JSON.parse(wish.headers);
  if (wish.token) options.accessTokenFactory = () => fetch(wish.token).then((answer) => answer.text());
  const protocol = wish.protocol === 'messagepack' ? new MessagePackHubProtocol() : new JsonHubProtocol();
  const builder = new HubConnectionBuilder()
    .configureLogging(LogLevel.None)
    .withUrl(wish.url, options)
    .withHubProtocol(protocol);
  if (wish.stateful) builder.withStatefulReconnect();
  // Soon at first, and for longer than any test lets a server be away.
  if (wish.reconnect) builder.withAutomaticReconnect([0, ...Array(100).fill(200)]);
  return builder.build();
}

const text = (error) => error?.message ?? null;

// Bytes and times are neither in JSON: in orders and in what is said they are objects of one key.

function plain(value) {
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (value instanceof Date) return { date: value.toISOString() };
  return deep(value, plain) ?? null;
}

function rich(value) {
  if (Array.isArray(value?.bytes)) return new Uint8Array(value.bytes);
  if (typeof value?.date === 'string') return new Date(value.date);
  return deep(value, rich);
}

function deep(value, map) {
  if (Array.isArray(value)) return value.map(map);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, map(inner)]));
}
