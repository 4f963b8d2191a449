// An instance of a fleet on npm's `@microsoft/signalr`, as docs/fleet.md shows it: joined by its URL,
// and back for ever, its first start included. It says what it is told.

import { parseArgs } from 'node:util';
import { HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { say } from './say.mjs';

const { values: wish } = parseArgs({ options: { url: { type: 'string' }, token: { type: 'string' } } });

const forever = { nextRetryDelayInMilliseconds: ({ previousRetryCount }) => Math.min(200 * previousRetryCount, 1000) };
const options = wish.token ? { accessTokenFactory: () => wish.token } : {};
const connection = new HubConnectionBuilder()
  .configureLogging(LogLevel.None)
  .withUrl(wish.url, options)
  .withAutomaticReconnect(forever)
  .build();

const done = new Map();
connection.on('Welcome', (data) => say({ event: 'Welcome', data }));
connection.on('Snapshot', (data) => say({ event: 'Snapshot', data }));
connection.on('ConfigurationChanged', (data) => say({ event: 'ConfigurationChanged', data }));
connection.on('Gap', (data) => say({ event: 'Gap', data }));
connection.on('Command', (command) => {
  const again = done.has(command.id);
  say({ event: again ? 'again' : 'Command', data: command });
  if (command.name === 'fail') throw new Error('it cannot be done');
  if (!again) done.set(command.id, { outcome: 'done', detail: `did ${command.name}` });
  return done.get(command.id);
});
connection.onreconnecting(() => say({ event: 'away' }));
connection.onclose((error) => say({ event: 'closed', error: error?.message ?? null }));

// Who starts this wants it to end with them.
process.stdin.on('end', () => process.exit(0)).resume();

for (let attempt = 0; ; attempt += 1) {
  try {
    await connection.start();
    break;
  } catch {
    await new Promise((resolve) => setTimeout(resolve, Math.min(200 * attempt, 1000)));
  }
}
