//! The table, row by row.

use super::{Answer, Duration, Failure, Fault, Stage, Status, answer};

const WAIT: Duration = Duration::from_mins(30);

fn meaning(stage: Stage, code: u16, enhanced: Option<(u8, u16, u16)>) -> Answer {
    answer(Err(Fault::Refused(stage, Status { code, enhanced })), WAIT)
}

/// The kind of an answer, without its word.
fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Accepted => "accepted",
        Answer::RetryDelivery { after: Some(WAIT), .. } => "delivery later",
        Answer::ProviderFailed { after: Some(WAIT), .. } => "failed",
        Answer::RetryRoute { after: None, .. } => "route later",
        Answer::RetryElsewhere { .. } => "elsewhere",
        Answer::Unknown { .. } => "unknown",
        Answer::DropToken { registered_before: None, .. } => "gone",
        Answer::Fail { failure: Failure::RefusedEndpoint, .. } => "endpoint",
        Answer::Fail { failure: Failure::RefusedContent, .. } => "content",
        Answer::Halt { .. } => "halt",
        _ => "something else",
    }
}

#[test]
fn every_refusal_means_what_its_stage_and_codes_say() {
    use Stage::{Data, End, Mail, Recipient};
    let rows = [
        (Mail, 421, None, "route later"),
        (Mail, 421, Some((4, 7, 0)), "route later"),
        (Mail, 421, Some((4, 4, 2)), "elsewhere"),
        (Recipient, 421, Some((4, 4, 2)), "route later"),
        (Data, 421, None, "route later"),
        (End, 421, Some((4, 7, 28)), "route later"),
        (Mail, 451, None, "route later"),
        (Mail, 452, Some((4, 3, 1)), "route later"),
        (Recipient, 450, Some((4, 2, 0)), "delivery later"),
        (Recipient, 450, Some((4, 1, 1)), "delivery later"),
        (Recipient, 451, Some((4, 7, 1)), "delivery later"),
        (Recipient, 452, Some((4, 2, 2)), "delivery later"),
        (Recipient, 452, Some((4, 5, 3)), "delivery later"),
        (Data, 451, Some((4, 3, 0)), "delivery later"),
        (End, 452, Some((4, 3, 1)), "delivery later"),
        (End, 454, Some((4, 7, 0)), "delivery later"),
        (Mail, 550, None, "halt"),
        (Mail, 553, Some((5, 1, 8)), "halt"),
        (Mail, 530, Some((5, 7, 0)), "halt"),
        (Mail, 552, None, "content"),
        (Mail, 554, Some((5, 3, 4)), "content"),
        (Mail, 550, Some((5, 2, 3)), "content"),
        (Recipient, 550, Some((5, 1, 1)), "gone"),
        (Recipient, 551, Some((5, 1, 6)), "gone"),
        (Recipient, 550, Some((5, 1, 2)), "endpoint"),
        (Recipient, 501, Some((5, 1, 3)), "endpoint"),
        (Recipient, 550, None, "endpoint"),
        (Recipient, 553, None, "endpoint"),
        (Recipient, 550, Some((5, 2, 1)), "endpoint"),
        (Recipient, 552, Some((5, 2, 2)), "endpoint"),
        (Recipient, 550, Some((5, 7, 1)), "endpoint"),
        (Recipient, 554, Some((5, 7, 1)), "endpoint"),
        (Recipient, 552, Some((5, 3, 4)), "content"),
        (Recipient, 530, None, "halt"),
        (Recipient, 535, Some((5, 7, 8)), "halt"),
        (Recipient, 550, Some((5, 7, 26)), "halt"),
        (Data, 554, None, "content"),
        (Data, 530, None, "halt"),
        (End, 550, None, "content"),
        (End, 554, Some((5, 7, 1)), "content"),
        (End, 550, Some((5, 1, 1)), "content"),
        (End, 552, Some((5, 3, 4)), "content"),
        (End, 550, Some((5, 7, 26)), "halt"),
        (End, 535, None, "halt"),
        (Mail, 354, None, "failed"),
        (Recipient, 334, None, "failed"),
        (Data, 250, None, "failed"),
    ];
    for (stage, code, enhanced, expected) in rows {
        assert_eq!(
            kind(&meaning(stage, code, enhanced)),
            expected,
            "{stage:?} {code} {enhanced:?}"
        );
    }
}

#[test]
fn what_is_no_refusal_is_told_apart_too() {
    for (outcome, expected) in [
        (Ok(()), "accepted"),
        (Err(Fault::NotSent("connection lost")), "elsewhere"),
        (Err(Fault::Unknown("connection lost")), "unknown"),
        (Err(Fault::TooLarge), "content"),
        (Err(Fault::NotAscii), "endpoint"),
    ] {
        assert_eq!(kind(&answer(outcome, WAIT)), expected);
    }
}

#[test]
fn only_no_such_mailbox_costs_the_address() {
    for stage in [Stage::Mail, Stage::Recipient, Stage::Data, Stage::End] {
        for code in 200..600 {
            for subject in 0..9 {
                for detail in 0..30 {
                    let class = u8::try_from(code / 100).unwrap();
                    let answer = meaning(stage, code, Some((class, subject, detail)));
                    if matches!(answer, Answer::DropToken { .. }) {
                        assert_eq!((stage, code / 100), (Stage::Recipient, 5));
                        assert!((subject, detail) == (1, 1) || (subject, detail) == (1, 6));
                    }
                }
            }
            let bare = meaning(stage, code, None);
            assert!(!matches!(bare, Answer::DropToken { .. }), "{code} without an enhanced code");
        }
    }
}

#[test]
fn the_word_for_a_refusal_says_what_the_relay_meant() {
    let word = |stage, code, enhanced| match meaning(stage, code, enhanced) {
        Answer::RetryDelivery { reason, .. }
        | Answer::Fail { reason, .. }
        | Answer::DropToken { reason, .. }
        | Answer::Halt { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(word(Stage::Recipient, 550, Some((5, 1, 1))), "no such mailbox (x.1.1)");
    assert_eq!(word(Stage::Recipient, 450, Some((4, 9, 9))), "450");
    assert_eq!(word(Stage::End, 599, None), "5xx to DATA");
}
