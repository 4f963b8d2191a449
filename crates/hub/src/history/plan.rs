//! What a client that recovers is to be sent. Pure.

use everwire_backplane::{Cursor, Stretch};

use super::follow::Span;

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing is missing; it follows with this span.
    Nothing(Span),
    /// What lies behind a cursor, up to a place: then it follows from `at` on. `at` is behind `until`
    /// if what lies between was sent before.
    Replay { after: Cursor, until: Cursor, at: Cursor },
    /// Something is missing that cannot be sent; it follows with this span.
    Lost(Span),
}

/// Decides it: from the client's cursor, from what was sent on this connection before, and from what
/// the history has behind the cursor.
pub(super) fn plan(
    cursor: Option<Cursor>,
    sent: Option<Span>,
    stretch: &Stretch,
    replay_max: u64,
) -> Plan {
    let end = stretch.end();
    let sent = sent.filter(|span| span.since.epoch == end.epoch && span.at.epoch == end.epoch);
    let now = sent.unwrap_or(Span { since: end, at: end });
    let Some(cursor) = cursor else { return Plan::Nothing(now) };
    let is_known = sent.is_some_and(|span| cursor.epoch == end.epoch && cursor >= span.since);
    if is_known && cursor.offset <= end.offset.max(now.at.offset) {
        // It may have more than this node has heard of.
        return Plan::Nothing(Span { since: now.since, at: now.at.max(cursor) });
    }
    if !stretch.continues(cursor) || now.since.offset.saturating_sub(cursor.offset) > replay_max {
        return Plan::Lost(now);
    }
    Plan::Replay { after: cursor, until: now.since, at: now.at }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(offset: u64) -> Cursor {
        Cursor { epoch: 1, offset }
    }

    /// A history of which 11 to 20 are kept.
    fn stretch() -> Stretch {
        Stretch { epoch: 1, first: 11, last: 20, entries: Vec::new() }
    }

    fn span(since: u64, to: u64) -> Span {
        Span { since: at(since), at: at(to) }
    }

    #[test]
    fn what_is_missing_is_sent_or_nothing_is() {
        let of = |cursor, sent| plan(cursor, sent, &stretch(), 8);
        assert_eq!(of(None, None), Plan::Nothing(span(20, 20)));
        assert_eq!(
            of(Some(at(20)), None),
            Plan::Replay { after: at(20), until: at(20), at: at(20) }
        );
        assert_eq!(
            of(Some(at(12)), None),
            Plan::Replay { after: at(12), until: at(20), at: at(20) }
        );
        assert_eq!(of(Some(at(11)), None), Plan::Lost(span(20, 20)), "more than may be sent");
        assert_eq!(of(Some(at(21)), None), Plan::Lost(span(20, 20)), "from the future");
        let other = Cursor { epoch: 2, offset: 15 };
        assert_eq!(of(Some(other), None), Plan::Lost(span(20, 20)), "another epoch");
        let lost = plan(Some(at(9)), None, &stretch(), 100);
        assert_eq!(lost, Plan::Lost(span(20, 20)), "trimmed");
        assert!(matches!(plan(Some(at(10)), None, &stretch(), 100), Plan::Replay { .. }));
    }

    #[test]
    fn what_was_sent_on_this_connection_is_not_sent_again() {
        let of = |cursor, sent| plan(Some(at(cursor)), Some(sent), &stretch(), 8);
        let replay = Plan::Replay { after: at(12), until: at(17), at: at(19) };
        assert_eq!(of(12, span(17, 19)), replay);
        assert_eq!(of(17, span(17, 19)), Plan::Nothing(span(17, 19)));
        assert_eq!(of(18, span(17, 19)), Plan::Nothing(span(17, 19)));
        assert_eq!(of(20, span(17, 19)), Plan::Nothing(span(17, 20)), "it has more than was heard");
        assert_eq!(of(21, span(17, 19)), Plan::Lost(span(17, 19)));
        assert_eq!(of(2, span(1, 19)), Plan::Nothing(span(1, 19)), "nobody needs what was trimmed");
        let old = Span { since: Cursor { epoch: 9, offset: 1 }, at: at(19) };
        assert_eq!(of(15, old), plan(Some(at(15)), None, &stretch(), 8));
    }

    proptest! {
        /// Whatever is decided: what the client had, what it is sent and what follows join without a
        /// hole and without a double, or it is told that something is lost.
        #[test]
        fn what_was_had_what_is_sent_and_what_follows_join(
            cursor in 0..30_u64,
            bounds in prop::option::of((0..20_u64, 0..20_u64)),
            replay_max in 0..30_u64,
        ) {
            let sent = bounds.map(|(one, other)| span(one.min(other), one.max(other)));
            match plan(Some(at(cursor)), sent, &stretch(), replay_max) {
                Plan::Lost(span) => prop_assert!(span.since <= span.at),
                Plan::Nothing(span) => {
                    prop_assert!(span.since.offset <= cursor && cursor <= span.at.offset);
                }
                Plan::Replay { after, until, at: end } => {
                    prop_assert_eq!(after, at(cursor));
                    prop_assert!(after.offset >= 10 && until.offset <= 20);
                    prop_assert!(until.offset - after.offset <= replay_max);
                    let expected = sent.map_or((20, 20), |span| (span.since.offset, span.at.offset));
                    prop_assert_eq!((until.offset, end.offset), expected);
                }
            }
        }
    }
}
