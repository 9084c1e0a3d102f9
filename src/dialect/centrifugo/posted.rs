//! What backends post: commands, one or several.
//!
//! Invariant: pure. All of them are looked at before any is done, so a refused post has done nothing.

use std::borrow::Cow;

use crate::json;

/// Why nothing of a post is done. Backends read `Bad Request`; the log says this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum BadPost {
    /// It is neither an object nor an array of some.
    #[error("the body is neither one JSON object nor an array of objects")]
    Json,
    /// A command has no method, or an unknown one.
    #[error("a command has no method, or one that there is not")]
    Method,
    /// A parameter is missing, or of another type.
    #[error("a command's parameters are missing, or of another type")]
    Params,
}

impl BadPost {
    /// The counter's label.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// What a backend wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A message in a channel.
    Publish {
        /// The channel; not empty.
        channel: String,
        /// The message's own id; empty: it gets one.
        uid: String,
        /// What it says.
        content: Content,
    },
    /// A message in each of several channels.
    Broadcast {
        /// The channels.
        channels: Vec<String>,
        /// What it says; `None`: nothing was said.
        content: Option<Content>,
    },
    /// A user is to leave a channel.
    Unsubscribe {
        /// Who; empty: nobody was named.
        user: String,
        /// Which; empty: all.
        channel: String,
    },
    /// A user's connections are to end.
    Disconnect(String),
    /// Who is in a channel?
    Presence(String),
    /// What was published in a channel?
    History(String),
    /// Which channels are there?
    Channels,
    /// How are all nodes?
    Stats,
    /// How is this node?
    Node,
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// JSON, as it was spelled.
    pub(super) data: String,
    /// The id of a client; empty: none.
    pub(super) client: String,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCommand {
    /// What the backend tells its answer by, as it was spelled.
    pub(super) uid: Option<String>,
    /// What it wants.
    pub(super) call: Call,
}

impl Call {
    /// The method's name.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Publish { .. } => "publish",
            Self::Broadcast { .. } => "broadcast",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Disconnect(_) => "disconnect",
            Self::Presence(_) => "presence",
            Self::History(_) => "history",
            Self::Channels => "channels",
            Self::Stats => "stats",
            Self::Node => "node",
        }
    }

    /// What a method with these parameters asks for.
    ///
    /// # Errors
    /// [`BadPost`]
    pub fn read(method: &str, params: Option<&str>) -> Result<Self, BadPost> {
        match method {
            "channels" => return Ok(Self::Channels),
            "stats" => return Ok(Self::Stats),
            "node" => return Ok(Self::Node),
            "publish" | "broadcast" | "unsubscribe" | "disconnect" | "presence" | "history" => {}
            _ => return Err(BadPost::Method),
        }
        let names = ["channel", "data", "client", "uid", "user", "channels"];
        let [channel, data, client, uid, user, channels] = params
            .and_then(|params| json::fields(params, names))
            .ok_or(BadPost::Params)?;
        let (channel, client) = (text(channel)?, text(client)?);
        let content = data.map(|data| Content {
            data: data.to_owned(),
            client,
        });
        Ok(match method {
            "publish" => {
                let content = content
                    .filter(|_| !channel.is_empty())
                    .ok_or(BadPost::Params)?;
                Self::Publish {
                    channel,
                    uid: text(uid)?,
                    content,
                }
            }
            "broadcast" => Self::Broadcast {
                channels: texts(channels)?,
                content,
            },
            "unsubscribe" => Self::Unsubscribe {
                user: text(user)?,
                channel,
            },
            "disconnect" => Self::Disconnect(text(user)?),
            "presence" => Self::Presence(channel),
            _ => Self::History(channel),
        })
    }
}

impl ApiCommand {
    fn read(text: &str) -> Result<Self, BadPost> {
        let [uid, method, params] =
            json::fields(text, ["uid", "method", "params"]).ok_or(BadPost::Json)?;
        let named = self::text(uid)?;
        let uid = uid.filter(|_| !named.is_empty()).map(str::to_owned);
        Ok(Self {
            uid,
            call: Call::read(&self::text(method)?, params)?,
        })
    }
}

/// The commands of a body, in order.
///
/// # Errors
/// [`BadPost`]
pub fn read(body: &str) -> Result<Vec<ApiCommand>, BadPost> {
    if json::is_object(body) {
        return Ok(vec![ApiCommand::read(body)?]);
    }
    json::valid(body).map_err(|_| BadPost::Json)?;
    json::items(body)
        .ok_or(BadPost::Json)?
        .into_iter()
        .map(ApiCommand::read)
        .collect()
}

/// A text; empty where it is not there.
fn text(value: Option<&str>) -> Result<String, BadPost> {
    match value {
        Some(value) if !json::is_null(value) => json::text(value)
            .map(Cow::into_owned)
            .ok_or(BadPost::Params),
        _ => Ok(String::new()),
    }
}

/// An array of texts; empty where it is not there.
fn texts(value: Option<&str>) -> Result<Vec<String>, BadPost> {
    match value {
        Some(value) if !json::is_null(value) => json::items(value)
            .ok_or(BadPost::Params)?
            .into_iter()
            .map(|item| text(Some(item)))
            .collect(),
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_command_makes_the_whole_post_bad() {
        let good = r#"{"method":"publish","params":{"channel":"x","data":null}}"#;
        assert_eq!(
            read(&format!("[{good},{good}]")).map(|commands| commands.len()),
            Ok(2)
        );
        for (bad, why) in [
            (r#"{"method":"zork","params":{}}"#, BadPost::Method),
            ("{}", BadPost::Method),
            ("null", BadPost::Json),
            (r#"{"method":7}"#, BadPost::Params),
            (r#"{"method":"publish"}"#, BadPost::Params),
            (r#"{"method":"publish","params":[]}"#, BadPost::Params),
            (
                r#"{"method":"publish","params":{"channel":"","data":1}}"#,
                BadPost::Params,
            ),
            (
                r#"{"method":"publish","params":{"channel":"x"}}"#,
                BadPost::Params,
            ),
            (
                r#"{"method":"history","params":{"channel":[]}}"#,
                BadPost::Params,
            ),
            (
                r#"{"method":"broadcast","params":{"channels":[1]}}"#,
                BadPost::Params,
            ),
        ] {
            assert_eq!(read(&format!("[{good},{bad}]")), Err(why), "{bad}");
        }
        for bad in ["", "{", "[", "1", "null", r#"{"method":"channels"}x"#] {
            assert_eq!(read(bad), Err(BadPost::Json), "{bad}");
        }
    }

    #[test]
    fn what_is_wanted_is_read_as_it_was_spelled() {
        let read = |text: &str| read(text).expect("a command").remove(0);
        let publish = r#" {"uid":"\u0041","method":"publish","params":{"channel":"x","data": [1, 2] ,"client":"c","uid":"u"}}"#;
        let content = Content {
            data: "[1, 2]".into(),
            client: "c".into(),
        };
        let call = Call::Publish {
            channel: "x".into(),
            uid: "u".into(),
            content,
        };
        assert_eq!(
            read(publish),
            ApiCommand {
                uid: Some(r#""\u0041""#.into()),
                call
            }
        );
        let broadcast = Call::Broadcast {
            channels: Vec::new(),
            content: None,
        };
        assert_eq!(
            read(r#"{"method":"broadcast","params":{}}"#),
            ApiCommand {
                uid: None,
                call: broadcast
            }
        );
        assert_eq!(
            read(r#"{"uid":"","method":"stats"}"#),
            ApiCommand {
                uid: None,
                call: Call::Stats
            }
        );
    }
}
