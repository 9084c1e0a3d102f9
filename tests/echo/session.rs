//! One client of the echo dialect, without a socket or a clock.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foghorn::event::{Channel, Event, Keep, Past, Place};
use foghorn::session::{Action, Answer, Entrance, Query, Session, Since, Ticket, Turn};

use crate::kinds::words;

/// What a client may say: `subscribe NAME`, `unsubscribe NAME`, `publish NAME TEXT`, `ask WORD …`; `keep NAME TEXT`,
/// `recover NAME PLACE`, `enter NAME TEXT`, `leave NAME`, `present NAME`; anything else is said again.
pub struct Echo {
    user: Arc<str>,
    /// What it is subscribed to from the start.
    first: Option<String>,
    /// After which place, where it recovers.
    after: Option<Place>,
    /// What it recovers, and after which place.
    recovers: Vec<(Ticket, String, Place)>,
    next: Ticket,
}

const KEEP: Keep = Keep {
    events: 1_000,
    lifetime: Duration::from_secs(600),
};

/// `EPOCH.NUMBER`
pub fn place(text: &str) -> Option<Place> {
    let (epoch, number) = text.split_once('.')?;
    Some(Place {
        epoch: epoch.parse().ok()?,
        number: number.parse().ok()?,
    })
}

pub fn channel(name: &str) -> Channel {
    Channel::new("echo", name)
}

impl Echo {
    pub fn new(user: &str, first: Option<String>, after: Option<Place>) -> Self {
        Self {
            user: user.into(),
            first,
            after,
            recovers: Vec::new(),
            next: 0,
        }
    }

    fn recover(&mut self, turn: &mut Turn<'_>, name: &str, after: Place) {
        let (channel, user) = (channel(name), Arc::clone(&self.user));
        turn.out.push(Action::Subscribe {
            channel,
            user,
            since: Since::Past(self.next),
        });
        self.recovers.push((self.next, name.to_owned(), after));
        self.next += 1;
    }

    /// The past of what it recovers: all that followed, or the news that something may be missing.
    fn recovered(&mut self, turn: &mut Turn<'_>, ticket: Ticket, past: &Past) {
        let Some(at) = self
            .recovers
            .iter()
            .position(|(asked, ..)| *asked == ticket)
        else {
            return;
        };
        let (_, name, after) = self.recovers.swap_remove(at);
        match past.after(after) {
            Some(events) => {
                say(turn, &format!("recovers {name}"));
                events.iter().for_each(|event| say(turn, &words(event)));
            }
            None => say(turn, &format!("something is missing in {name}")),
        }
    }

    fn subscribe(&self, turn: &mut Turn<'_>, name: &str) {
        let (channel, user) = (channel(name), Arc::clone(&self.user));
        turn.out.push(Action::Subscribe {
            channel,
            user,
            since: Since::Recent,
        });
        say(turn, &format!("subscribed {name}"));
    }

    fn ask(&mut self, turn: &mut Turn<'_>, query: Query) {
        turn.out.push(Action::Ask(self.next, Box::new(query)));
        self.next += 1;
    }
}

fn say(turn: &mut Turn<'_>, text: &str) {
    turn.out
        .push(Action::Send(Bytes::copy_from_slice(text.as_bytes())));
}

impl Session for Echo {
    fn on_start(&mut self, turn: &mut Turn<'_>) {
        turn.out.push(Action::Identify(Arc::clone(&self.user)));
        match (self.first.clone(), self.after) {
            (Some(name), Some(after)) => self.recover(turn, &name, after),
            (Some(name), None) => self.subscribe(turn, &name),
            (None, _) => {}
        }
    }

    fn on_message(&mut self, turn: &mut Turn<'_>, message: &[u8]) {
        let text = String::from_utf8_lossy(message).into_owned();
        let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match verb {
            "subscribe" => self.subscribe(turn, rest),
            "unsubscribe" => turn.out.push(Action::Unsubscribe(channel(rest))),
            "publish" => {
                let (name, said) = rest.split_once(' ').unwrap_or((rest, ""));
                self.ask(
                    turn,
                    Query::Publish(Event::new(channel(name), "said", said.to_owned())),
                );
            }
            "keep" => {
                let (name, said) = rest.split_once(' ').unwrap_or((rest, ""));
                self.ask(
                    turn,
                    Query::Keep(Event::new(channel(name), "said", said.to_owned()), KEEP),
                );
            }
            "recover" => {
                let (name, after) = rest.split_once(' ').unwrap_or((rest, ""));
                self.recover(
                    turn,
                    name,
                    place(after).unwrap_or(Place {
                        epoch: 0,
                        number: 0,
                    }),
                );
            }
            "enter" => {
                let (name, who) = rest.split_once(' ').unwrap_or((rest, ""));
                let (channel, id, who) =
                    (channel(name), Arc::clone(&self.user), who.to_owned().into());
                let outlives = Duration::from_secs(60);
                turn.out.push(Action::Enter(Box::new(Entrance {
                    channel,
                    id,
                    who,
                    outlives,
                })));
            }
            "leave" => turn.out.push(Action::Leave(channel(rest))),
            "present" => self.ask(turn, Query::Present(channel(rest))),
            "ask" => {
                for word in rest.split(' ') {
                    self.ask(turn, Query::Own(word.to_owned().into()));
                }
            }
            _ => say(turn, &text),
        }
    }

    fn on_answer(&mut self, turn: &mut Turn<'_>, ticket: Ticket, answer: Answer) {
        match answer {
            Answer::Own(text) => say(
                turn,
                &format!("{ticket}: {}", String::from_utf8_lossy(&text)),
            ),
            Answer::Past(past) => self.recovered(turn, ticket, &past),
            Answer::Present(here) => {
                let here = here
                    .iter()
                    .map(|(id, who)| format!("{id}={}", String::from_utf8_lossy(who)));
                say(
                    turn,
                    &format!("{ticket}: {}", here.collect::<Vec<_>>().join(" ")),
                );
            }
            Answer::Published => say(turn, &format!("{ticket}: published")),
            Answer::Unavailable => say(turn, &format!("{ticket}: try again")),
        }
    }

    fn on_mail(&mut self, turn: &mut Turn<'_>, mail: &[u8]) -> Option<Bytes> {
        say(turn, &format!("mail: {}", String::from_utf8_lossy(mail)));
        Some(format!("{} has it", self.user).into())
    }

    fn on_end(&mut self, turn: &mut Turn<'_>) {
        let left = Event::new(channel("lobby"), "said", format!("{} left", self.user));
        self.ask(turn, Query::Publish(left));
    }
}
