//! What backends post: an event, whom it is for, and what clients get of it.
//!
//! Invariant: pure; any bytes are safe at any size and nesting (nothing recurses); what clients get of an event's content
//! are its bytes as posted, less the blanks between tokens.

use bytes::Bytes;

use crate::buffer::Buffer;
use crate::json::{compact, fields, integer, is_null, is_object, is_string, text, valid};

/// The four events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// A library has a new commit.
    RepoUpdate,
    /// A file was locked or unlocked.
    FileLockChanged,
    /// A folder's permission changed for a user or a group.
    FolderPermChanged,
    /// A file was commented on.
    CommentUpdate,
}

impl EventType {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [
        Self::RepoUpdate,
        Self::FileLockChanged,
        Self::FolderPermChanged,
        Self::CommentUpdate,
    ];

    /// As it is spelled on the wire; good as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RepoUpdate => "repo-update",
            Self::FileLockChanged => "file-lock-changed",
            Self::FolderPermChanged => "folder-perm-changed",
            Self::CommentUpdate => "comment-update",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Whom of a library's subscribers an event is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All.
    All,
    /// One user's.
    User(String),
    /// Those of a group's members, who have to be looked up.
    Group(i64),
}

/// What a backend posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// An event that clients may get.
    Deliver(BackendEvent),
    /// One that goes to nobody, and is answered 200 all the same.
    Nowhere {
        /// For metrics.
        reason: Reason,
        /// For a debug line: what was wrong.
        detail: String,
    },
}

/// An event of one library, ready for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendEvent {
    /// The library, never empty.
    pub repo_id: String,
    /// Which event.
    pub kind: EventType,
    /// Whom it is for.
    pub audience: Audience,
    /// What is in it, as posted but for the blanks between tokens.
    pub content: Bytes,
}

/// Why an event goes to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// Its type is none of the four.
    UnknownType,
    /// Its content is missing or no object.
    Content,
    /// A field that is looked at has the wrong JSON type.
    FieldType,
    /// It names no library.
    NoLibrary,
}

impl Reason {
    /// For metrics.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// Why a posted body is answered 500.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Not UTF-8: browsers would hang up on it.
    #[error("the body is not UTF-8 (at byte {0})")]
    Utf8(usize),
    /// Not one JSON text.
    #[error("the body is not one JSON text: {0}")]
    Json(String),
    /// Another JSON value.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// `type` is there and no string.
    #[error("type is not a string")]
    Type,
}

impl BadBody {
    /// For metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Utf8(_) => "body_utf8",
            Self::Json(_) => "body_json",
            Self::NotAnObject => "body_shape",
            Self::Type => "body_type",
        }
    }
}

fn nowhere(reason: Reason, detail: impl Into<String>) -> Parsed {
    Parsed::Nowhere {
        reason,
        detail: detail.into(),
    }
}

impl BackendEvent {
    /// Reads the body of a post.
    ///
    /// # Errors
    /// What the reference answers with 500.
    pub fn parse(body: &[u8]) -> Result<Parsed, BadBody> {
        let body = std::str::from_utf8(body).map_err(|error| BadBody::Utf8(error.valid_up_to()))?;
        let Some([kind, content]) = fields(body, ["type", "content"]) else {
            valid(body).map_err(|error| BadBody::Json(error.to_string()))?;
            let null = || nowhere(Reason::UnknownType, "the body is null");
            return is_null(body).then(null).ok_or(BadBody::NotAnObject);
        };
        let kind = match kind {
            Some(json) if !is_null(json) => text(json).ok_or(BadBody::Type)?,
            _ => return Ok(nowhere(Reason::UnknownType, "there is no type")),
        };
        let Some(kind) = EventType::named(&kind) else {
            let shown: String = kind.chars().take(60).collect();
            return Ok(nowhere(
                Reason::UnknownType,
                format!("the type {shown:?} is none of Seafile's four"),
            ));
        };
        Ok(match content {
            Some(content) if is_object(content) => Self::with_content(kind, content),
            Some(_) => nowhere(
                Reason::Content,
                format!("the content of a {} is not an object", kind.name()),
            ),
            None => nowhere(
                Reason::Content,
                format!("a {} without content", kind.name()),
            ),
        })
    }

    fn with_content(kind: EventType, content: &str) -> Parsed {
        let wrong = |field: &str| {
            nowhere(
                Reason::FieldType,
                format!("{field} of a {} has the wrong type", kind.name()),
            )
        };
        let (strings, number): (&[&str], Option<&str>) = match kind {
            EventType::RepoUpdate => (&["repo_id", "commit_id"], None),
            EventType::FileLockChanged => (&["repo_id", "path", "change_event", "lock_user"], None),
            EventType::FolderPermChanged => (
                &["repo_id", "user", "path", "type", "change_event", "perm"],
                Some("group"),
            ),
            EventType::CommentUpdate => (&["repo_id", "type", "file_uuid", "file_path"], None),
        };
        let mut names = [""; 7];
        names[..strings.len()].copy_from_slice(strings);
        names[6] = number.unwrap_or_default();
        // A name left empty is asked for too and not looked at.
        let Some(found) = fields(content, names) else {
            return wrong("content");
        };
        let found = found.map(|field| field.filter(|json| !is_null(json)));
        if let Some(at) =
            (0..strings.len()).find(|at| found[*at].is_some_and(|json| !is_string(json)))
        {
            return wrong(strings[at]);
        }
        let string = |at: usize| found[at].and_then(text).unwrap_or_default().into_owned();
        let audience = match number {
            None => Audience::All,
            Some(name) => {
                let Some(group) = found[6].map_or(Some(0), integer) else {
                    return wrong(name);
                };
                match (string(1), group) {
                    (user, _) if !user.is_empty() => Audience::User(user),
                    (_, -1) => Audience::All,
                    (_, group) => Audience::Group(group),
                }
            }
        };
        let repo_id = string(0);
        if repo_id.is_empty() {
            return nowhere(
                Reason::NoLibrary,
                format!("a {} without repo_id", kind.name()),
            );
        }
        Parsed::Deliver(Self {
            repo_id,
            kind,
            audience,
            content: compacted(content),
        })
    }
}

fn compacted(content: &str) -> Bytes {
    let mut out = Buffer::with_room(content.len());
    compact(content, |piece| out.put(piece));
    out.freeze()
}
