//! What is at which path below `/connection`, and by which methods.
//!
//! Invariant: pure. A path that leads nowhere is 404; one that leads somewhere by another method is 405 and says by which.

/// The longest name of a session, bytes.
const LONGEST: usize = 256;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'p> {
    /// A greeting.
    Greeting,
    /// What the server can do.
    Info,
    /// The page that runs a client beside pages of other origins.
    Iframe,
    /// Something of the session of this name.
    Session(&'p str, Way),
}

/// How a session is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a WebSocket, which is a session by itself.
    WebSocket,
    /// Frames are fetched, one after another.
    XhrStreaming,
    /// One frame is fetched.
    Xhr,
    /// Frames are fetched as events.
    EventSource,
    /// Frames are fetched as scripts in a page.
    HtmlFile,
    /// One frame is fetched as a script.
    Jsonp,
    /// Something is said.
    XhrSend,
    /// Something is said, by a form.
    JsonpSend,
}

impl<'p> Endpoint<'p> {
    /// Finds what is at a path below `/connection`, without slashes at its ends.
    pub fn find(path: &'p str) -> Option<Self> {
        let mut parts = path.split('/');
        match (parts.next()?, parts.next(), parts.next(), parts.next()) {
            ("", None, ..) => Some(Self::Greeting),
            ("info", None, ..) => Some(Self::Info),
            (page, None, ..) if is_iframe(page) => Some(Self::Iframe),
            (server, Some(session), Some(way), None) if is_name(server) && is_name(session) => {
                Some(Self::Session(session, Way::find(way)?))
            }
            _ => None,
        }
    }

    /// The methods that are answered there, as `Allow` lists them.
    pub fn methods(self) -> &'static str {
        match self {
            Self::Greeting | Self::Iframe => "GET",
            Self::Info => "OPTIONS, GET",
            Self::Session(_, way) => way.methods(),
        }
    }

    /// Whether `method` is one of them.
    pub fn takes(self, method: &str) -> bool {
        self.methods().split(", ").any(|taken| taken == method)
    }
}

impl Way {
    fn find(name: &str) -> Option<Self> {
        Some(match name {
            "websocket" => Self::WebSocket,
            "xhr_streaming" => Self::XhrStreaming,
            "xhr" => Self::Xhr,
            "eventsource" => Self::EventSource,
            "htmlfile" => Self::HtmlFile,
            "jsonp" => Self::Jsonp,
            "xhr_send" => Self::XhrSend,
            "jsonp_send" => Self::JsonpSend,
            _ => return None,
        })
    }

    fn methods(self) -> &'static str {
        match self {
            Self::XhrStreaming | Self::Xhr | Self::XhrSend => "POST, OPTIONS",
            Self::Jsonp => "GET, OPTIONS",
            Self::WebSocket | Self::EventSource | Self::HtmlFile => "GET",
            Self::JsonpSend => "POST",
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST && !name.contains('.')
}

fn is_iframe(page: &str) -> bool {
    let version = page
        .strip_prefix("iframe")
        .and_then(|rest| rest.strip_suffix(".html"));
    let is_good =
        |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || b"-._".contains(&byte);
    version.is_some_and(|version| version.bytes().all(is_good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_the_specification_says() {
        assert_eq!(
            (Endpoint::find(""), Endpoint::find("info")),
            (Some(Endpoint::Greeting), Some(Endpoint::Info))
        );
        for page in ["iframe.html", "iframe-1.6.1.html", "iframe0.1_a.html"] {
            assert_eq!(Endpoint::find(page), Some(Endpoint::Iframe), "{page}");
        }
        assert_eq!(
            Endpoint::find("000/abc/xhr"),
            Some(Endpoint::Session("abc", Way::Xhr))
        );
        let long = format!("000/{}/xhr", "x".repeat(257));
        for nowhere in [
            "iframe.htm",
            "IFRAME.HTML",
            "x",
            "000/abc",
            "0.0/abc/xhr",
            "0/a.c/xhr",
            "0/abc/xhr/x",
            "0/abc/zork",
            &long,
        ] {
            assert_eq!(Endpoint::find(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn each_is_answered_by_its_methods_and_no_other() {
        let takes = |path, method| Endpoint::find(path).expect(path).takes(method);
        assert!(
            takes("0/a/xhr", "POST") && takes("0/a/xhr", "OPTIONS") && !takes("0/a/xhr", "GET")
        );
        assert!(takes("0/a/eventsource", "GET") && !takes("0/a/eventsource", "OPTIONS"));
        assert!(takes("info", "OPTIONS") && !takes("", "POST"));
    }
}
