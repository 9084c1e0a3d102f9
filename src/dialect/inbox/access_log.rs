//! The access log: a line in Apache's combined format for each request, when its answer has ended.
//!
//! Invariants: no key and no token is in it; nothing that was sent can look like another line; whoever is answered never waits
//! for it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_TYPE, REFERER, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Version};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::form;
use super::settings as s;
use crate::drain::Tasks;
use crate::logging::{LogError, LogFile, Writer};

/// Parameters of which no value is written.
const SECRET: [&str; 2] = ["key", "token"];

/// Whoever misspells a name means the same by it.
fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// How long the last lines may take to be written when nothing is logged any more.
const LAST: Duration = Duration::from_secs(1);
/// The status of who hung up before it was answered, as nginx has it.
const HUNG_UP: u16 = 499;

/// See the module. Clones share it.
#[derive(Clone)]
pub(super) struct AccessLog(Arc<File>);

/// Its file; dropped, it is written to the end.
struct File(Writer);

impl Drop for File {
    fn drop(&mut self) {
        self.0.flush(LAST);
    }
}

impl AccessLog {
    /// Begins it, or goes on with what is there. SIGUSR1 opens the file anew.
    ///
    /// # Errors
    /// [`LogError`]
    pub fn start(path: PathBuf, tasks: &Tasks) -> Result<Self, LogError> {
        let named_by = s::ACCESS_LOG.row.name;
        let writer = Writer::start(Some(LogFile { path, named_by }))?;
        writer.reopened_on_usr1("access-log", tasks)?;
        Ok(Self(Arc::new(File(writer))))
    }

    /// Begins the line of a request. It is written when it is dropped.
    pub fn begin(&self, from: IpAddr, parts: &Parts) -> Line {
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let target = match query {
            Some(query) => format!("{path}?{}", masked(query)),
            None => path.to_owned(),
        };
        let (method, version) = (&parts.method, version(parts.version));
        // What stands behind the question mark there are the secrets of another application.
        let referer = text(&parts.headers, REFERER);
        let referer = referer.split(['?', '#']).next().unwrap_or_default();
        let field = |text: &str| match text {
            "" => "-".to_owned(),
            text => escaped(text),
        };
        Line {
            log: self.clone(),
            begin: format!(
                "{from} - - [{}] \"{method} {} {version}\"",
                date(SystemTime::now()),
                escaped(&target)
            ),
            end: format!(
                "\"{}\" \"{}\"",
                field(referer),
                field(text(&parts.headers, USER_AGENT))
            ),
            status: HUNG_UP,
            sent: None,
        }
    }
}

/// A request's line.
pub struct Line {
    log: AccessLog,
    begin: String,
    end: String,
    status: u16,
    /// Bytes; `None`: they are not counted.
    sent: Option<u64>,
}

impl Line {
    /// The request is answered like this: the line is written when all of it is sent, or nobody takes it any more.
    pub fn answered(mut self, answer: Response) -> Response {
        let is_stream = text(answer.headers(), CONTENT_TYPE).starts_with("text/event-stream");
        self.status = answer.status().as_u16();
        self.sent = (!is_stream).then_some(0);
        answer.map(|body| Body::new(Logged { body, line: self }))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let size = match self.sent {
            None | Some(0) => "-".to_owned(),
            Some(sent) => sent.to_string(),
        };
        let Self {
            begin, end, status, ..
        } = self;
        let line = format!("{begin} {status} {size} {end}\n");
        self.log.0.0.push(line.as_bytes());
    }
}

/// A body whose end is noted.
struct Logged {
    body: Body,
    line: Line,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(sent)) = (&polled, &mut self.line.sent) {
            *sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// As Apache writes the time, always in UTC.
fn date(time: SystemTime) -> String {
    let date = httpdate::fmt_http_date(time);
    // `Thu, 26 Nov 2026 11:06:00 GMT`
    let mut words = date.split(' ').skip(1);
    let [day, month, year, time] = std::array::from_fn(|_| words.next().unwrap_or_default());
    format!("{day}/{month}/{year}:{time} +0000")
}

/// A query without the values of what is secret.
fn masked(query: &str) -> String {
    let mask = |piece: &str| match piece.split_once('=') {
        Some((name, _)) if is_secret(&form::decode(name.as_bytes())) => format!("{name}=***"),
        _ => piece.to_owned(),
    };
    query.split('&').map(mask).collect::<Vec<_>>().join("&")
}

/// As Apache does it: what could end the field, or the line, becomes an escape.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => c
                .to_string()
                .bytes()
                .for_each(|byte| out += &format!("\\x{byte:02x}")),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_apache_does() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_691_160);
        assert_eq!(date(time), "26/Nov/2026:11:06:00 +0000");
    }

    #[test]
    fn what_is_secret_is_masked_however_its_name_is_spelled() {
        for (query, shown) in [
            ("a=1&key=s3cret&b", "a=1&key=***&b"),
            ("t%6Fken=a.b.c", "t%6Fken=***"),
            ("key", "key"),
            ("keys=1&key=", "keys=1&key=***"),
        ] {
            assert_eq!(masked(query), shown);
        }
    }

    #[test]
    fn nothing_ends_a_field_or_a_line() {
        assert_eq!(
            escaped("a\"b\\c\nd\u{85}e한"),
            "a\\\"b\\\\c\\x0ad\\xc2\\x85e한"
        );
    }
}
