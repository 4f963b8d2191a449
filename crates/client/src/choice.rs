//! Which transport is tried next. Decides, and opens none itself.

use everwire_proto::signalr::{TransferFormat, negotiate::Transport};

use crate::error::{ConnectError, TransportError};

/// One attempt to connect: the transports that a server offers, the best first, as it says.
#[derive(Debug)]
pub(crate) struct Choice {
    /// What is left to try, the next one last.
    left: Vec<Transport>,
    passed_over: Vec<TransportError>,
}

impl Choice {
    /// Of what the server offers, what the application wants and what can carry its protocol.
    pub(crate) fn new(offered: &[Transport], wanted: &[Transport], format: TransferFormat) -> Self {
        let mut choice = Self { left: Vec::new(), passed_over: Vec::new() };
        for transport in offered.iter().copied() {
            if !wanted.contains(&transport) {
                choice.passed_over.push(TransportError::Disabled(transport));
            } else if !transport.transfer_formats().contains(&format) {
                choice.passed_over.push(TransportError::Format(transport, format));
            } else if !choice.left.contains(&transport) {
                choice.left.push(transport);
            }
        }
        choice.left.reverse();
        choice
    }

    /// The next to try.
    pub(crate) fn next(&mut self) -> Option<Transport> {
        self.left.pop()
    }

    /// Whether there is another if this one fails.
    pub(crate) fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    /// The one that was to be tried does not open.
    pub(crate) fn handle_failed(&mut self, transport: Transport, error: ConnectError) {
        self.passed_over.push(TransportError::Failed { transport, error });
    }

    /// Why there is no connection, after all have failed.
    pub(crate) fn into_error(self) -> ConnectError {
        ConnectError::Transports(self.passed_over.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    use Transport::{LongPolling, ServerSentEvents, WebSockets};

    /// All that is tried if nothing works.
    fn tried(choice: &mut Choice) -> Vec<Transport> {
        let mut tried = Vec::new();
        while let Some(transport) = choice.next() {
            tried.push(transport);
            choice.handle_failed(transport, ConnectError::Status(404));
        }
        tried
    }

    #[test]
    fn transports_are_tried_in_the_servers_order() {
        for (offered, wanted, format, all) in [
            (&Transport::ALL[..], &Transport::ALL[..], TransferFormat::Text, &Transport::ALL[..]),
            (&Transport::ALL, &Transport::ALL, TransferFormat::Binary, &[WebSockets, LongPolling]),
            (
                &Transport::ALL,
                &[LongPolling, WebSockets],
                TransferFormat::Text,
                &[WebSockets, LongPolling],
            ),
            (
                &[LongPolling, WebSockets],
                &Transport::ALL,
                TransferFormat::Text,
                &[LongPolling, WebSockets],
            ),
            (&Transport::ALL, &[ServerSentEvents], TransferFormat::Binary, &[]),
            (&[], &Transport::ALL, TransferFormat::Text, &[]),
        ] {
            assert_eq!(tried(&mut Choice::new(offered, wanted, format)), all);
        }
    }

    #[test]
    fn what_became_of_each_transport_is_told_in_the_official_words() {
        let mut choice =
            Choice::new(&Transport::ALL, &[ServerSentEvents, LongPolling], TransferFormat::Binary);
        assert_eq!(tried(&mut choice), [LongPolling]);
        assert_eq!(
            choice.into_error().to_string(),
            "Unable to connect to the server with any of the available transports. \
             'WebSockets' is disabled by the client. 'ServerSentEvents' does not support Binary. \
             LongPolling failed: the server answered with status 404"
        );
        let none = Choice::new(&[], &Transport::ALL, TransferFormat::Text).into_error();
        let text = "None of the transports supported by the client are supported by the server.";
        assert_eq!(none.to_string(), text);
    }

    proptest! {
        #[test]
        fn each_offered_transport_is_tried_once_or_passed_over_with_a_reason(
            offered in subsequence(Transport::ALL.to_vec(), 0..=3).prop_shuffle(),
            wanted in subsequence(Transport::ALL.to_vec(), 0..=3),
        ) {
            let mut choice = Choice::new(&offered, &wanted, TransferFormat::Text);
            let tried = tried(&mut choice);
            let both: Vec<Transport> =
                offered.iter().copied().filter(|offer| wanted.contains(offer)).collect();
            prop_assert_eq!(tried, both);
            prop_assert!(!choice.has_more());
            prop_assert_eq!(choice.passed_over.len(), offered.len());
        }
    }
}
