// The numbered, hashed message that the tests send through Everwire, as JavaScript reads and
// writes it. `crates/testkit/src/message.rs` tells the format; this is a second implementation
// on purpose, so that one wrong reader cannot hide one wrong writer.
//
//   E1T <stream> <sequence> <sum>\n<filler>      text;  E1B for binary
//
// `sum` is the first 16 hex digits of SHA-1 over everything but itself.

import { createHash } from 'node:crypto';

const NEWLINE = 10;

/** What a payload says of itself, or null where it is not one of ours. */
export function read(payload, isBinary) {
  const end = payload.indexOf(NEWLINE);
  if (end < 0 || end > 200) return null;
  const [mark, stream, sequence, sum, ...rest] = payload.toString('latin1', 0, end).split(' ');
  if (rest.length > 0 || (mark !== 'E1T' && mark !== 'E1B')) return null;
  const filler = payload.subarray(end + 1);
  const whole = sum === sumOf(`${mark} ${stream} ${sequence}`, filler);
  return { stream, sequence: Number(sequence), whole: whole && isBinary === (mark === 'E1B') };
}

/** A message of ours: a Buffer if it is binary, a string if it is text. */
export function write(stream, sequence, filler, binary = false) {
  const head = `${binary ? 'E1B' : 'E1T'} ${stream} ${sequence}`;
  const line = `${head} ${sumOf(head, Buffer.from(filler))}\n`;
  return binary ? Buffer.concat([Buffer.from(line), Buffer.from(filler)]) : line + filler;
}

/** Text that does not compress to nothing and differs from message to message. */
export function filler(length, seed) {
  let text = '';
  for (let n = 0; text.length < length; n++) {
    text += createHash('sha1').update(`${seed}.${n}`).digest('base64');
  }
  return text.slice(0, length);
}

function sumOf(head, filler) {
  return createHash('sha1').update(head).update('\n').update(filler).digest('hex').slice(0, 16);
}
