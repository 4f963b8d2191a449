//! Models of backend processes: how they read, answer, acknowledge, and die.

use everwire_proto::ws::frame::Opcode;

use super::wire::{Got, Reader, bare, close_payload, fragments};

/// How a backend behaves while it serves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) pongs: Pongs,
    pub(super) echoes: bool,
}

/// How a backend's stack answers Pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pongs {
    Prompt,
    /// When told to, all of them.
    Late,
    /// When told to, and then the latest only, as RFC 6455 section 5.5.3 permits.
    Latest,
    Never,
}

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    Serving,
    /// It reads nothing and sends nothing.
    Frozen,
    /// It has sent its Close.
    Leaving,
    Ended,
}

/// What a durable backend keeps: messages and their count are one transaction.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) highest_leg: u32,
    pub(super) log: Vec<(Opcode, Vec<u8>)>,
}

/// One process behind one leg.
#[derive(Debug)]
pub(super) struct Backend {
    leg: u32,
    pub(super) style: Style,
    durable: bool,
    pub(super) process: Process,
    /// Accepted by its kernel, and not read.
    pub(super) kernel: Vec<u8>,
    /// Whether nothing follows what the kernel holds.
    pub(super) eof: bool,
    reader: Reader,
    /// On its way to the gateway.
    pub(super) outgoing: Vec<u8>,
    /// Number of the first client message on this leg.
    pub(super) first: u64,
    pub(super) received: Vec<(Opcode, Vec<u8>)>,
    pub(super) pushed: Vec<(Opcode, Vec<u8>)>,
    late: Vec<Vec<u8>>,
}

impl Backend {
    pub(super) fn new(leg: u32, style: Style, durable: bool, first: u64) -> Self {
        Self {
            leg,
            style,
            durable,
            process: Process::Serving,
            kernel: Vec::new(),
            eof: false,
            reader: Reader::new(true),
            outgoing: Vec::new(),
            first,
            received: Vec::new(),
            pushed: Vec::new(),
            late: Vec::new(),
        }
    }

    /// Number of the last client message that the application has.
    pub(super) fn reached(&self) -> u64 {
        self.first + self.received.len() as u64 - 1
    }

    /// Reads at most `count` bytes from its kernel and acts on them.
    pub(super) fn reads(&mut self, count: usize, store: &mut Store) {
        if matches!(self.process, Process::Frozen | Process::Ended) {
            return;
        }
        let count = count.min(self.kernel.len());
        let bytes: Vec<u8> = self.kernel.drain(..count).collect();
        for got in self.reader.read(&bytes) {
            self.takes(got, store);
        }
        let over = self.eof && self.kernel.is_empty();
        if over {
            self.process = Process::Ended;
        }
    }

    fn takes(&mut self, got: Got, store: &mut Store) {
        match got {
            Got::Message(opcode, payload) => self.takes_message(opcode, payload, store),
            Got::Ping(payload) if self.process == Process::Serving => match self.style.pongs {
                Pongs::Prompt => self.pongs(&payload),
                Pongs::Late => self.late.push(payload),
                Pongs::Latest => {
                    self.late.retain(|late| late.starts_with(b"ack:"));
                    self.late.push(payload);
                }
                Pongs::Never => {}
            },
            Got::Close(..) => {
                if self.process == Process::Serving {
                    self.outgoing.extend(bare(Opcode::Close, &close_payload(1000, "")));
                }
                self.process = Process::Ended;
            }
            Got::Ping(_) | Got::Pong(_) => {}
        }
    }

    fn takes_message(&mut self, opcode: Opcode, payload: Vec<u8>, store: &mut Store) {
        let size = payload.len();
        self.received.push((opcode, payload.clone()));
        if self.durable {
            // A later leg holds the session: this one may no longer write.
            if self.leg < store.highest_leg {
                return;
            }
            store.log.push((opcode, payload));
            let ack = format!("ack:{}", store.log.len()).into_bytes();
            match self.style.pongs {
                Pongs::Late | Pongs::Latest => self.late.push(ack),
                Pongs::Prompt | Pongs::Never => self.pongs(&ack),
            }
        }
        if self.style.echoes && self.process == Process::Serving {
            self.pushes(size, 1);
        }
    }

    fn pongs(&mut self, payload: &[u8]) {
        self.outgoing.extend(bare(Opcode::Pong, payload));
    }

    /// Sends the Pongs that it owes.
    pub(super) fn sends_late_pongs(&mut self) {
        if self.process == Process::Serving {
            for payload in std::mem::take(&mut self.late) {
                self.pongs(&payload);
            }
        }
    }

    /// Sends a message that names its leg and its place on it.
    pub(super) fn pushes(&mut self, size: usize, pieces: usize) {
        if self.process != Process::Serving {
            return;
        }
        let number = self.pushed.len() as u32;
        let mut payload = [self.leg.to_be_bytes(), number.to_be_bytes()].concat();
        payload.extend((0..size).map(|at| (at as u32 * 7 + number) as u8));
        let opcode = if number.is_multiple_of(3) { Opcode::Binary } else { Opcode::Text };
        self.outgoing.extend(match pieces {
            1 => bare(opcode, &payload),
            pieces => fragments(opcode, None, &payload, pieces),
        });
        self.pushed.push((opcode, payload));
    }

    /// Says that it restarts, and waits for the gateway's Close.
    pub(super) fn restarts(&mut self) {
        if self.process == Process::Serving {
            self.outgoing.extend(bare(Opcode::Close, &close_payload(1012, "restart")));
            self.process = Process::Leaving;
        }
    }

    /// Is killed; of what it sent, the first `sent` bytes arrive still.
    pub(super) fn dies(&mut self, sent: usize) {
        self.outgoing.truncate(sent);
        self.process = Process::Ended;
    }

    /// Sends what no server may send.
    pub(super) fn breaks_rules(&mut self) {
        if self.process == Process::Serving {
            self.outgoing.extend([0x83, 0]);
            self.process = Process::Frozen;
        }
    }

    pub(super) fn freezes(&mut self) {
        if self.process == Process::Serving {
            self.process = Process::Frozen;
        }
    }

    /// A stopped process that goes on after the gateway has cut its leg.
    pub(super) fn thaws(&mut self, store: &mut Store) {
        if self.process == Process::Frozen {
            self.process = Process::Serving;
            self.reads(usize::MAX, store);
        }
    }
}
