//! A client and a server of one session, and a network that loses connections at any moment.

use everwire_proto::{session::resend::Resend, signalr::reconnect::Received};
use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    ClientSays,
    ServerSays,
    /// So many of the messages on their way arrive.
    ReachServer(usize),
    ReachClient(usize),
    Lose,
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::ClientSays),
        3 => Just(Step::ServerSays),
        3 => (1_usize..6).prop_map(Step::ReachServer),
        3 => (1_usize..6).prop_map(Step::ReachClient),
        2 => Just(Step::Lose),
        1 => (1_u64..3000).prop_map(Step::Pass),
    ]
}

/// A server that keeps its session.
#[derive(Default)]
struct Server {
    resend: Resend,
    received: Received,
    taken: Vec<u64>,
}

impl Server {
    fn take(&mut self, bytes: &[u8]) {
        let mut reader = Reader::new(Protocol::Json, usize::MAX);
        let mut input = bytes;
        while let Some(message) = reader.next(&mut input).unwrap() {
            if !self.received.judge(&message).unwrap() {
                continue;
            }
            match message {
                HubMessage::Invocation(invocation) => self.taken.push(number(&invocation)),
                HubMessage::Ack(sequence) => self.resend.acknowledge(sequence.0).unwrap(),
                _ => {}
            }
        }
    }
}

struct World {
    rig: Rig,
    server: Server,
    to_server: VecDeque<Bytes>,
    to_client: VecDeque<Bytes>,
    client_said: u64,
    server_said: u64,
    taken: Vec<u64>,
}

impl World {
    fn new() -> Self {
        Self {
            rig: Rig::open(true),
            server: Server::default(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            client_said: 0,
            server_said: 0,
            taken: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::ClientSays => {
                self.client_said += 1;
                let message = numbered(self.client_said);
                self.rig.session.handle_call(self.rig.now, message, None).unwrap();
            }
            Step::ServerSays => {
                self.server_said += 1;
                let message = numbered(self.server_said);
                self.server.resend.push(message.clone());
                self.to_client.push_back(message);
            }
            Step::ReachServer(count) => {
                let arrived = self.to_server.len().min(*count);
                self.to_server.drain(..arrived).for_each(|bytes| self.server.take(&bytes));
                self.server_acknowledges();
            }
            Step::ReachClient(count) => {
                let arrived = self.to_client.len().min(*count);
                let arrived: Vec<Bytes> = self.to_client.drain(..arrived).collect();
                arrived.iter().for_each(|bytes| self.client_takes(bytes));
            }
            Step::Lose => self.lose(),
            Step::Pass(millis) => {
                self.rig.now = self.rig.now + Duration::from_millis(*millis);
                self.rig.session.handle_timeout(self.rig.now);
            }
        }
        while let Some(output) = self.rig.session.poll_output() {
            self.to_server.push_back(output.bytes);
        }
    }

    fn server_acknowledges(&mut self) {
        if let Some(sequence) = self.server.received.acknowledge() {
            self.to_client.push_back(encode(Protocol::Json, &HubMessage::Ack(sequence)));
        }
    }

    fn client_takes(&mut self, bytes: &[u8]) {
        self.rig.session.handle_data(self.rig.now, bytes.to_vec());
        while let Some(event) = self.rig.event() {
            match event {
                Event::Invocation(_, invocation) => self.taken.push(number(&invocation)),
                other => panic!("the session was lost: {other:?}"),
            }
        }
    }

    /// A socket is lost with all that is on its way, and replaced.
    fn lose(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.rig.lose();
        assert!(matches!(self.rig.session.wish(), Wish::Resume));
        self.rig.session.handle_resumed(self.rig.now);
        self.server.received.resume();
        let first = HubMessage::Sequence(everwire_proto::signalr::message::SequenceId(
            self.server.resend.first(),
        ));
        // Only a socket that has brought something is replaced.
        self.client_takes(&encode(Protocol::Json, &first));
        self.to_client.extend(self.server.resend.replay().cloned());
    }

    fn settle(&mut self) {
        self.step(&Step::Lose);
        for _ in 0..3 {
            self.step(&Step::Pass(1000));
            self.step(&Step::ReachServer(usize::MAX));
            self.step(&Step::ReachClient(usize::MAX));
        }
    }
}

fn numbered(number: u64) -> Bytes {
    let arguments = Arguments::encode(Protocol::Json, &[number]).unwrap();
    Protocol::Json.encode(&HubMessage::call("m", arguments)).unwrap()
}

fn number(invocation: &Invocation) -> u64 {
    invocation.call.arguments.decode::<[u64; 1]>().unwrap()[0]
}

proptest! {
    #[test]
    fn a_lost_socket_loses_nothing_and_doubles_nothing(steps in vec(any_step(), 0..120)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        world.settle();
        prop_assert!(world.server.taken.iter().copied().eq(1..=world.client_said));
        prop_assert!(world.taken.iter().copied().eq(1..=world.server_said));
        prop_assert_eq!(world.server.resend.bytes(), 0, "all is acknowledged");
        prop_assert!(world.rig.session.takes_calls(0));
    }
}
