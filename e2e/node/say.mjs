// One JSON object a line on stdout, written before the call returns: what was said before a
// SIGKILL can still be read after it. `at` is the machine's monotonic clock in nanoseconds, by
// which what several processes said can be put in order.

import { writeSync } from 'node:fs';

export function say(event) {
  let rest = Buffer.from(`${JSON.stringify({ at: Number(process.hrtime.bigint()), ...event })}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}
