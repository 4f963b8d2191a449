// What a SignalR client can be wished to do, wherever it runs: options for `parseArgs`.

export const wishes = {
  url: { type: 'string' },
  transport: { type: 'string' },
  protocol: { type: 'string' },
  // Where a token is to be had before each connection.
  token: { type: 'string' },
  // Of every request, as a JSON object.
  headers: { type: 'string' },
  skipNegotiation: { type: 'boolean' },
  reconnect: { type: 'boolean' },
  stateful: { type: 'boolean' },
  // Follows the hub's own channel, and says `loads` whenever it would load its state.
  follow: { type: 'boolean' },
};
