// A SignalR client that somebody else wrote, npm `@microsoft/signalr`: `puppet.mjs` in Node. It
// takes orders on stdin, one JSON object a line, and says what comes of them on stdout.

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import * as signalR from '@microsoft/signalr';
import { MessagePackHubProtocol } from '@microsoft/signalr-protocol-msgpack';
import { puppet } from './puppet.mjs';
import { say } from './say.mjs';
import { wishes } from './wish.mjs';

const { values: wish } = parseArgs({
  options: {
    ...wishes,
    // Takes whatever certificate the server has.
    insecure: { type: 'boolean' },
  },
});

if (wish.insecure) process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const obey = puppet({ ...signalR, MessagePackHubProtocol }, wish, say);

createInterface({ input: process.stdin })
  .on('line', (line) => obey(JSON.parse(line)))
  .on('close', () => process.exit(0));
