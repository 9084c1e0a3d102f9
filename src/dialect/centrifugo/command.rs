//! What clients say: commands, one or several in a message.
//!
//! Invariant: pure. A message is taken whole or not at all; what is read of it is passed on as it was spelled.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::json;

/// What cannot be read: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What the client tells its answer by, as it was spelled; `None`: nothing, or an empty text.
    pub(super) uid: Option<Box<str>>,
    /// What is wanted; empty where nothing was said.
    pub(super) method: Box<str>,
    /// With what, as it was spelled.
    pub(super) params: Option<Box<str>>,
}

impl Command {
    fn read(text: &str) -> Result<Self, Invalid> {
        let [uid, method, params] =
            json::fields(text, ["uid", "method", "params"]).ok_or(Invalid)?;
        let named = text_of(uid)?;
        let uid = uid.filter(|_| !named.is_empty()).map(Into::into);
        let params = params
            .filter(|params| !json::is_null(params))
            .map(Into::into);
        Ok(Self {
            uid,
            method: text_of(method)?.as_ref().into(),
            params,
        })
    }

    /// The parameters of these names.
    ///
    /// # Errors
    /// There are none, or they are no object.
    pub fn params<const N: usize>(&self, names: [&str; N]) -> Result<[Option<&str>; N], Invalid> {
        json::fields(self.params.as_deref().ok_or(Invalid)?, names).ok_or(Invalid)
    }
}

/// The commands of a message, in order.
///
/// # Errors
/// It is neither an object nor an array of some.
pub fn read(message: &[u8]) -> Result<VecDeque<Command>, Invalid> {
    let text = std::str::from_utf8(message).map_err(|_| Invalid)?;
    match message.first() {
        Some(b'{') => Ok([Command::read(text)?].into()),
        Some(b'[') => {
            json::valid(text).map_err(|_| Invalid)?;
            let items = json::items(text)
                .filter(|items| !items.is_empty())
                .ok_or(Invalid)?;
            items.into_iter().map(Command::read).collect()
        }
        _ => Err(Invalid),
    }
}

/// A parameter that is a text; empty where it is not there.
///
/// # Errors
/// It is something else.
pub(super) fn text_of(value: Option<&str>) -> Result<Cow<'_, str>, Invalid> {
    match value {
        Some(value) if !json::is_null(value) => json::text(value).ok_or(Invalid),
        _ => Ok(Cow::Borrowed("")),
    }
}

/// A parameter that is true or false; false where it is not there.
///
/// # Errors
/// It is something else.
pub(super) fn switch_of(value: Option<&str>) -> Result<bool, Invalid> {
    match value.map(str::trim) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Invalid),
    }
}

/// An info that somebody gives of itself: JSON, in a text; `None` where it is empty.
///
/// # Errors
/// It is no JSON.
pub(super) fn info_of(text: &str) -> Result<Option<Box<str>>, Invalid> {
    match text {
        "" => Ok(None),
        text => json::valid(text)
            .map(|()| Some(text.into()))
            .map_err(|_| Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_an_object_or_an_array_of_some() {
        let read = |text: &str| read(text.as_bytes()).map(|commands| commands.len());
        assert_eq!(read(r#"{"method":"ping"} "#), Ok(1));
        assert_eq!(read(r#"[{"method":"ping"},{}]"#), Ok(2));
        for bad in [
            "",
            " {}",
            "[]",
            "[null]",
            "[1]",
            "null",
            "{}{}",
            "[{}]x",
            "[{},",
            "{\"uid\":7}",
            "[{},{\"method\":1}]",
        ] {
            assert_eq!(read(bad), Err(Invalid), "{bad}");
        }
    }

    #[test]
    fn a_uid_stays_as_it_was_spelled_and_an_empty_one_is_none() {
        let uid = |text: &str| read(text.as_bytes()).expect("a command")[0].uid.clone();
        assert_eq!(
            uid(r#"{"uid":"\u0041\ud800"}"#).as_deref(),
            Some(r#""\u0041\ud800""#)
        );
        assert_eq!(
            (uid(r#"{"uid":""}"#), uid(r#"{"uid":null}"#), uid("{}")),
            (None, None, None)
        );
    }

    #[test]
    fn parameters_are_of_their_kinds() {
        let command = &read(br#"{"params":{"channel":"x","recover":true}}"#).expect("a command")[0];
        let [channel, recover, last] = command
            .params(["channel", "recover", "last"])
            .expect("parameters");
        assert_eq!(
            (
                text_of(channel).as_deref(),
                switch_of(recover),
                text_of(last).as_deref()
            ),
            (Ok("x"), Ok(true), Ok(""))
        );
        assert_eq!(
            (text_of(recover), switch_of(channel)),
            (Err(Invalid), Err(Invalid))
        );
        assert_eq!(
            read(br#"{"params":null}"#).expect("a command")[0].params(["x"]),
            Err(Invalid)
        );
        assert_eq!((info_of(""), info_of("hello")), (Ok(None), Err(Invalid)));
        assert_eq!(info_of("{ }").expect("JSON").as_deref(), Some("{ }"));
    }
}
