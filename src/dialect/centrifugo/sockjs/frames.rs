//! SockJS's frames, and how each transport writes them.
//!
//! Invariant: pure. A frame has no end of a line in it, so that a line is a frame; what a script gets can end no script.

use std::borrow::Cow;
use std::fmt::Write;

use crate::json;
use crate::session::Close;

/// The connection has begun.
pub const OPEN: &str = "o";
/// The server is there.
pub const HEARTBEAT: &str = "h";
/// What ends a message, or a heartbeat, where they wait for a request that fetches them.
pub const END: u8 = b'\n';

/// What comes is not a list of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// There is nothing.
    #[error("Payload expected.")]
    Nothing,
    /// It is something else.
    #[error("Broken JSON encoding.")]
    Broken,
}

/// The messages that a client has packed into one.
///
/// # Errors
/// [`Unreadable`]
pub fn unpack(packed: &[u8]) -> Result<Vec<Cow<'_, str>>, Unreadable> {
    let text = std::str::from_utf8(packed).map_err(|_| Unreadable::Broken)?;
    if text.trim().is_empty() {
        return Err(Unreadable::Nothing);
    }
    json::valid(text).map_err(|_| Unreadable::Broken)?;
    if json::is_null(text) {
        return Ok(Vec::new());
    }
    let items = json::items(text).ok_or(Unreadable::Broken)?;
    items
        .into_iter()
        .map(|item| json::text(item).ok_or(Unreadable::Broken))
        .collect()
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// How a connection ended.
pub fn close(close: &Close) -> String {
    format!("c[{},{}]", close.code, quoted(&close.reason))
}

/// The session is fetched from by somebody else.
pub fn taken() -> String {
    close(&Close::new(2010, "Another connection still open", "taken"))
}

/// One frame of all that waited: messages, each quoted and with [`END`] behind it, and heartbeats. Who gets a message needs no
/// heartbeat.
pub(super) fn of_waiting(waiting: &[u8]) -> String {
    let lines = waiting
        .split(|byte| *byte == END)
        .filter(|line| !line.is_empty());
    let messages = lines.filter(|line| *line != HEARTBEAT.as_bytes());
    let mut frame = String::with_capacity(waiting.len() + 2);
    for message in messages {
        frame.push(if frame.is_empty() { '[' } else { ',' });
        frame.push_str(&String::from_utf8_lossy(message));
    }
    if frame.is_empty() {
        HEARTBEAT.to_owned()
    } else {
        format!("a{frame}]")
    }
}

/// How frames are written into the body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One after another, each on a line.
    XhrStreaming,
    /// One on a line.
    Xhr,
    /// As events of an `EventSource`.
    EventSource,
    /// As scripts of a page that calls its parent's function of this name.
    HtmlFile(String),
    /// One, as a script that calls the function of this name.
    Jsonp(String),
}

impl Transport {
    /// What metrics call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::XhrStreaming => "xhr_streaming",
            Self::Xhr => "xhr",
            Self::EventSource => "eventsource",
            Self::HtmlFile(_) => "htmlfile",
            Self::Jsonp(_) => "jsonp",
        }
    }

    /// Whether an answer has one frame.
    pub(super) fn is_polled(&self) -> bool {
        matches!(self, Self::Xhr | Self::Jsonp(_))
    }

    /// What the body is.
    pub(super) fn content_type(&self) -> &'static str {
        match self {
            Self::XhrStreaming | Self::Xhr | Self::Jsonp(_) => {
                "application/javascript; charset=UTF-8"
            }
            Self::EventSource => "text/event-stream; charset=UTF-8",
            Self::HtmlFile(_) => "text/html; charset=UTF-8",
        }
    }

    /// What comes before the first frame, so that browsers begin to look.
    pub fn prelude(&self) -> String {
        match self {
            Self::XhrStreaming => HEARTBEAT.repeat(2_048) + "\n",
            Self::EventSource => "\r\n".to_owned(),
            Self::HtmlFile(callback) => html(callback),
            Self::Xhr | Self::Jsonp(_) => String::new(),
        }
    }

    /// A frame.
    pub fn write(&self, frame: &str) -> String {
        match self {
            Self::XhrStreaming | Self::Xhr => format!("{frame}\n"),
            Self::EventSource => format!("data: {frame}\r\n\r\n"),
            Self::HtmlFile(_) => format!("<script>\np({});\n</script>\r\n", in_script(frame)),
            Self::Jsonp(callback) => format!("{callback}({});\r\n", in_script(frame)),
        }
    }
}

/// A text as a string in a script, which may stand in a page.
fn in_script(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 2);
    for character in quoted(text).chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string does not fail.
                let _ = write!(safe, "\\u{:04x}", u32::from(character));
            }
            plain => safe.push(plain),
        }
    }
    safe
}

/// The page around scripts. Browsers show nothing of what is shorter than a kilobyte.
fn html(callback: &str) -> String {
    let page = format!(
        r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.{callback};
    c.start();
    function p(d) {{c.message(d);}};
    window.onload = function() {{c.stop();}};
  </script>
"#
    );
    format!("{page:<1024}\r\n\r\n")
}

/// Why a script cannot call that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCallback {
    /// There is nothing to call.
    #[error("\"callback\" parameter required")]
    Missing,
    /// It is no name of a function.
    #[error("invalid character in \"callback\" parameter")]
    Invalid,
}

/// The function that a script is to call, from the parameter `c`.
///
/// # Errors
/// [`BadCallback`]
pub fn callback(query: &str) -> Result<String, BadCallback> {
    const LONGEST: usize = 128;
    let found = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "c");
    let name = found
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    match name.as_str() {
        "" => Err(BadCallback::Missing),
        good if good.len() <= LONGEST && good.bytes().all(is_good) => Ok(name),
        _ => Err(BadCallback::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_a_list_of_texts() {
        let read = |packed: &str| unpack(packed.as_bytes()).map(|all| all.join("|"));
        assert_eq!(
            read(r#"["{\"a\":\"\u00e9\"}", "b"] "#),
            Ok("{\"a\":\"é\"}|b".to_owned())
        );
        assert_eq!(
            (read("[]"), read("null")),
            (Ok(String::new()), Ok(String::new()))
        );
        assert_eq!(
            (read(""), read(" \n")),
            (Err(Unreadable::Nothing), Err(Unreadable::Nothing))
        );
        for broken in ["[\"x", "\"x\"", "{}", "[1]", "[\"x\"]]", "[[\"x\"]]", "nul"] {
            assert_eq!(read(broken), Err(Unreadable::Broken), "{broken}");
        }
        assert_eq!(unpack(b"[\"\xff\"]"), Err(Unreadable::Broken));
    }

    #[test]
    fn what_waited_comes_in_one_frame_and_a_heartbeat_only_where_nothing_else_does() {
        let message = |text: &str| quoted(text) + "\n";
        let waiting = message("{\"n\":\n1}") + "h\n" + &message("ü");
        assert_eq!(of_waiting(waiting.as_bytes()), r#"a["{\"n\":\n1}","ü"]"#);
        assert_eq!(
            (of_waiting(b"h\nh\n"), of_waiting(b"\"h\"\n")),
            ("h".to_owned(), "a[\"h\"]".to_owned())
        );
    }

    #[test]
    fn ends_are_written_as_v1_does() {
        let close = close(&Close::new(
            3000,
            r#"{"reason":"stale","reconnect":false}"#,
            "stale",
        ));
        assert_eq!(
            close,
            r#"c[3000,"{\"reason\":\"stale\",\"reconnect\":false}"]"#
        );
        assert_eq!(taken(), r#"c[2010,"Another connection still open"]"#);
    }

    #[test]
    fn each_transport_writes_a_frame_in_its_way() {
        let frame = r#"a["</script>"]"#;
        assert_eq!(Transport::Xhr.write(frame), format!("{frame}\n"));
        assert_eq!(Transport::EventSource.write("h"), "data: h\r\n\r\n");
        assert_eq!(
            Transport::Jsonp("a.b".to_owned()).write("o"),
            "a.b(\"o\");\r\n"
        );
        let script = Transport::HtmlFile("cb".to_owned()).write(&(frame.to_owned() + "\u{2028}&"));
        let inside = r#"<script>
p("a[\"\u003c/script\u003e\"]\u2028\u0026");
</script>"#;
        assert_eq!(script, inside.to_owned() + "\r\n");
        let page = Transport::HtmlFile("cb".to_owned()).prelude();
        assert!(page.len() > 1_024 && page.contains("parent.cb;") && page.ends_with("\r\n\r\n"));
        assert_eq!(Transport::XhrStreaming.prelude().len(), 2_049);
    }

    #[test]
    fn only_names_of_functions_are_called() {
        assert_eq!(callback("t=1&c=_jp.a%24b9"), Ok("_jp.a$b9".to_owned()));
        assert_eq!(
            (callback(""), callback("c=")),
            (Err(BadCallback::Missing), Err(BadCallback::Missing))
        );
        for bad in [
            "c=a(b",
            "c=%3Cscript%3E",
            "c=a%0Ab",
            "c=%C3%A9",
            &format!("c={}", "x".repeat(129)),
        ] {
            assert_eq!(callback(bad), Err(BadCallback::Invalid), "{bad}");
        }
    }
}
