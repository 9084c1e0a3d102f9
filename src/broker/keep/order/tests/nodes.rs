//! Several nodes, a Redis that loses, and pages that move between them: each message comes once, or a page is told that it may not.

mod redis;
mod site;

use proptest::prelude::*;

use self::site::{NODES, PAGES, Site};
use super::HOLD_MS;

/// What happens at a node, or to a page, or to Redis.
#[derive(Clone, Debug)]
enum Step {
    Keep(usize),
    Say(usize),
    Hear(usize, usize),
    Work(usize),
    LoseAnAnswer(usize),
    GiveUp(usize),
    Wait(usize, u64),
    HandOver(usize),
    Leave(usize),
    Come(usize, usize),
    LaneDown(usize),
    LaneUp(usize),
    Deafen(usize),
    /// It has Redis again.
    Back(usize),
    /// What can be done, said and heard is.
    Flow,
    HearAgain(usize),
    Mute(usize),
    /// It ends with nothing to say any more, and starts again.
    Restart(usize),
    RedisIsEmptied,
    RedisRestarts {
        without: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..NODES;
    let long = prop_oneof![4 => Just(HOLD_MS + 1), 1 => Just(3_000)];
    prop_oneof![
        6 => at().prop_map(Step::Keep),
        6 => at().prop_map(Step::Say),
        10 => (at(), at()).prop_map(|(at, by)| Step::Hear(at, by)),
        2 => at().prop_map(Step::Work),
        1 => at().prop_map(Step::LoseAnAnswer),
        1 => at().prop_map(Step::GiveUp),
        6 => (at(), long).prop_map(|(at, ms)| Step::Wait(at, ms)),
        1 => at().prop_map(Step::HandOver),
        2 => (0..PAGES).prop_map(Step::Leave),
        6 => (0..PAGES, at()).prop_map(|(page, at)| Step::Come(page, at)),
        1 => at().prop_map(Step::LaneDown),
        2 => at().prop_map(Step::LaneUp),
        1 => at().prop_map(Step::Deafen),
        2 => at().prop_map(Step::HearAgain),
        1 => at().prop_map(Step::Mute),
        5 => at().prop_map(Step::Back),
        2 => Just(Step::Flow),
        1 => at().prop_map(Step::Restart),
        1 => Just(Step::RedisIsEmptied),
        2 => (0usize..3).prop_map(|without| Step::RedisRestarts { without }),
    ]
}

/// Ways in which a page was told that it had all, and had not, or had more.
fn stories() -> Vec<Vec<Step>> {
    use Step::*;
    let wait = |at| Wait(at, HOLD_MS + 1);
    // 0 keeps something and gives it; 1 hears of it, and says what it had yet to say.
    let goes_on = [Back(0), Keep(0), Say(0), Hear(0, 0), wait(0)];
    let is_late = [Back(1), Hear(1, 0), wait(1), Say(1)];
    let moves = [wait(1), Come(0, 1)];
    let mut stories = Vec::new();
    // Redis has lost what 1 has yet to say.
    for ends in [RedisIsEmptied, RedisRestarts { without: 1 }] {
        for last in [&moves[1..], &moves] {
            let steps = [
                &[Keep(1), ends.clone()][..],
                &goes_on,
                &[Leave(0)],
                &is_late,
                last,
            ];
            stories.push(steps.concat());
        }
    }
    // The same, behind what 2 has yet to say, for long.
    let begins = [Keep(2), Keep(1), RedisIsEmptied, Wait(0, 3_000)];
    stories.push([&begins[..], &goes_on, &[Leave(0)], &is_late, &moves].concat());
    // A page at 0 had read it.
    let begins = [
        Keep(1),
        Keep(2),
        Come(0, 0),
        LaneDown(0),
        RedisRestarts { without: 1 },
        LaneUp(1),
    ];
    stories.push(
        [
            &begins[..],
            &goes_on,
            &[Keep(1), Leave(0)],
            &is_late,
            &moves,
        ]
        .concat(),
    );
    // 0 has heard what is not kept, and 1 has not, but what came after it.
    let begins = [
        Deafen(1),
        LaneDown(2),
        Keep(2),
        GiveUp(2),
        Hear(0, 0),
        HearAgain(1),
    ];
    let goes_on = [
        Keep(1),
        Say(1),
        Hear(0, 0),
        Hear(1, 1),
        Leave(0),
        Come(0, 1),
    ];
    stories.push([begins, goes_on].concat());
    // Clients of 0 have early what is kept without an answer, in front of what they have not.
    let begins = [
        Keep(1),
        LoseAnAnswer(0),
        Keep(0),
        LoseAnAnswer(0),
        Say(1),
        Leave(0),
    ];
    let goes_on = [Come(0, 1), Back(0), Come(1, 2), Leave(1), Come(1, 0)];
    stories.push([&begins[..], &goes_on].concat());
    stories
}

/// What is not kept comes while something is missing that the past does not have any more.
#[test]
fn what_is_not_kept_lets_out_nothing_that_its_node_did_not_publish() {
    use Step::*;
    let begins = [Keep(1), Keep(0), LaneDown(2), Keep(2), GiveUp(2), Back(1)];
    let goes_on = [Keep(1), Hear(0, 0), Leave(0), Come(0, 1)];
    tell(1, [&begins[..], &goes_on].concat()).unwrap();
    // Its node has kept something since.
    let begins = [LaneDown(0), Leave(0), Keep(0), Back(0), GiveUp(0)];
    let goes_on = [Keep(0), Keep(2), Mute(2), Come(0, 2)];
    tell(4, [&begins[..], &goes_on].concat()).unwrap();
    // The same of what is given early.
    let begins = [Keep(1), Keep(1), Keep(0), Say(0), Hear(0, 0)];
    let goes_on = [Wait(0, HOLD_MS + 1), LaneDown(0), Keep(0)];
    tell(2, [&begins[..], &goes_on].concat()).unwrap();
}

#[test]
fn no_story_is_told_again() {
    for story in stories() {
        tell(12, story).unwrap();
    }
}

fn tell(keeps: usize, steps: impl IntoIterator<Item = Step>) -> Result<(), TestCaseError> {
    let mut site = Site::new(keeps);
    let begin = [Step::Keep(0), Step::Flow];
    begin
        .into_iter()
        .chain(steps)
        .for_each(|step| site.step(step));
    site.settle();
    site.check()?;
    site.check_afterwards()
}

/// Another node has read it, Redis loses it, and then it is kept.
#[test]
fn what_was_kept_without_an_answer_and_lost_or_forgotten_is_given_once() {
    use Step::*;
    let begins = [LaneDown(1), Keep(1), LaneUp(1), LoseAnAnswer(1)];
    let goes_on = [Come(0, 0), Keep(2), Keep(2)];
    tell(2, [&begins[..], &goes_on].concat()).unwrap();
    let begins = [RedisIsEmptied, Keep(1), Back(2), Back(1), Keep(1)];
    let goes_on = [LoseAnAnswer(1), Flow, Wait(2, HOLD_MS + 1), Come(0, 2)];
    tell(4, [&begins[..], &goes_on, &[RedisIsEmptied]].concat()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is lost, held up, or comes another way round.
    #[test]
    fn a_page_that_moves_has_each_once_or_is_told(keeps in 1usize..12, steps in prop::collection::vec(step(), 1..40)) {
        tell(keeps, steps)?;
    }

    /// The stories, with steps left out and others between.
    #[test]
    fn nor_anything_like_a_story(
        keeps in 1usize..12, story in 0..stories().len(),
        others in prop::collection::vec((0usize..24, prop::option::of(step())), 0..8),
    ) {
        let mut steps = stories()[story].clone();
        for (at, other) in others {
            let at = at % steps.len();
            match other {
                Some(other) => steps.insert(at, other),
                None if steps.len() > 1 => drop(steps.remove(at)),
                None => {}
            }
        }
        tell(keeps, steps)?;
    }
}
