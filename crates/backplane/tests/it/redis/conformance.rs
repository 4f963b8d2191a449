//! What every backplane promises, on a Redis where nothing goes wrong.

use everwire_backplane::conformance;
use everwire_testkit::{need, tools};

use crate::server::{Server, VOLATILE};

#[tokio::test]
async fn messages() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (one, two, three) = (server.node(), server.node(), server.node());
    conformance::every_node_receives_each_message_once_in_order(&[&one, &two, &three]).await;
    conformance::channels_do_not_meet_whatever_their_names(&one, &two).await;
    conformance::a_late_reader_catches_up_from_its_position(&one, &two).await;
    conformance::too_large_a_payload_is_refused_at_once(&one).await;
    conformance::a_slow_reader_learns_that_it_was_too_slow(&one, &two).await;
}

#[tokio::test]
async fn questions() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (one, two) = (server.node(), server.node());
    conformance::a_question_reaches_one_node_and_its_answer_comes_back(&[&one, &two]).await;
    conformance::a_question_that_cannot_be_answered_says_why(&one, &two).await;
}

#[tokio::test]
async fn members() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (one, two, three) = (server.node(), server.node(), server.node());
    conformance::every_node_sees_who_joins_and_who_leaves(&one, &two).await;
    conformance::a_node_that_left_publishes_nothing(&one, &three).await;
}

#[tokio::test]
async fn histories() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (one, two, three) = (server.node(), server.node(), server.node());
    conformance::recorded_messages_are_numbered_for_all_alike(&[&one, &two, &three]).await;
    conformance::a_history_continues_for_who_was_away(&one, &two).await;
    conformance::a_history_keeps_no_more_than_it_may(&one).await;
    conformance::histories_do_not_meet_whatever_their_names(&one).await;
}

#[tokio::test]
async fn logs() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (one, two) = (server.node(), server.node());
    conformance::of_writers_who_expect_the_same_version_one_succeeds(&[&one, &two]).await;
    conformance::a_log_continues_after_trimming(&one).await;
    conformance::a_removed_log_has_never_been(&one).await;
    conformance::the_latest_snapshot_is_kept(&one).await;
    conformance::logs_do_not_meet_whatever_their_names(&one).await;
}
