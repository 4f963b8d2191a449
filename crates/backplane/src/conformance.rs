//! What every backplane promises, as functions for tests.
//!
//! Each takes nodes that have nothing else to do and panics where a promise is broken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failing check panics"
)]
#![allow(clippy::missing_panics_doc, reason = "panicking is what these functions are for")]

mod bus;
mod history;
mod log;

pub use bus::{
    a_late_reader_catches_up_from_its_position, a_node_that_left_publishes_nothing,
    a_question_reaches_one_node_and_its_answer_comes_back,
    a_question_that_cannot_be_answered_says_why, a_slow_reader_learns_that_it_was_too_slow,
    channels_do_not_meet_whatever_their_names, every_node_receives_each_message_once_in_order,
    every_node_sees_who_joins_and_who_leaves, too_large_a_payload_is_refused_at_once,
};
pub use history::{
    a_history_continues_for_who_was_away, a_history_keeps_no_more_than_it_may,
    histories_do_not_meet_whatever_their_names, recorded_messages_are_numbered_for_all_alike,
};
pub use log::{
    a_log_continues_after_trimming, a_removed_log_has_never_been,
    logs_do_not_meet_whatever_their_names, of_writers_who_expect_the_same_version_one_succeeds,
    the_latest_snapshot_is_kept,
};

/// Longest time for anything here.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
