// A program that knows nothing of a fleet: it says which values its environment has, and ends when it is
// told to, or at once with the exit code that it finds there.

import { say } from './say.mjs';

const names = ['COLOR', 'SIZE'].filter((name) => name in process.env);
say({ event: 'begun', pid: process.pid, values: Object.fromEntries(names.map((name) => [name, process.env[name]])) });

const end = (code) => {
  say({ event: 'ends', pid: process.pid });
  process.exit(code);
};

if (process.env.EXIT) end(Number(process.env.EXIT));
process.on('SIGTERM', () => end(0));
setInterval(() => {}, 1000);
