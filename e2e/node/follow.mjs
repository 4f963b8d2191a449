// How an application follows a channel with a history: what `docs/history.md` shows, and a test runs.

export function follow(connection, channel, load) {
  let cursor = null;
  connection.on('Position', (name, now) => { if (name === channel) cursor = now; });
  connection.on('Gap', (name, now) => { if (name === channel) { cursor = now; load(); } });
  return async () => {
    const isFirst = cursor === null;
    const { recovered } = await connection.invoke('Recover', channel, cursor);
    if (isFirst || !recovered) await load();
  };
}
