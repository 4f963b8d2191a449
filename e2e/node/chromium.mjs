// Headless Chromium, spoken to over two pipes in its DevTools protocol, one JSON object and a NUL at a
// time. When this process ends, however it does, the pipes end, and the browser with them.

import { spawn } from 'node:child_process';

/** Starts the program; gives what calls it and hears its events, each with the session it is of. */
export function start(program) {
  const options = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe'];
  const child = spawn(program, options, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  child.on('exit', () => process.exit(1));
  const [, , , writer, reader] = child.stdio;
  const waiting = new Map();
  const listeners = new Map();
  let calls = 0;
  let begun = '';
  reader.setEncoding('utf8').on('data', (text) => {
    const whole = (begun + text).split('\0');
    begun = whole.pop();
    whole.map((message) => JSON.parse(message)).forEach(hear);
  });

  function hear({ id, result, error, method, params, sessionId }) {
    if (method) return listeners.get(method)?.(params, sessionId);
    const { done, failed } = waiting.get(id);
    waiting.delete(id);
    if (error) failed(new Error(error.message));
    else done(result);
  }

  return {
    call(method, params = {}, sessionId = undefined) {
      const id = ++calls;
      writer.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
      return new Promise((done, failed) => waiting.set(id, { done, failed }));
    },
    on: (method, heard) => listeners.set(method, heard),
  };
}

/** An empty tab whose page can `say` things; gives what calls it, what runs in it, and its session. */
export async function open(browser) {
  const { targetId } = await browser.call('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await browser.call('Target.attachToTarget', { targetId, flatten: true });
  const call = (method, params) => browser.call(method, params, sessionId);
  await call('Runtime.enable');
  await call('Runtime.addBinding', { name: 'say' });
  await call('Page.enable');

  async function evaluate(expression) {
    const { result, exceptionDetails } = await call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  return { call, evaluate, sessionId, targetId };
}
