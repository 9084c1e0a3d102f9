//! What of a client's offers is agreed to (RFC 7692, sections 5 and 7.1).
//!
//! Invariant: pure. Nothing is agreed to that is not kept: what is sent refers to what is up to 32 KiB back, so a client that
//! keeps less than that gets what is not compressed.

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use super::codec::WINDOW_BITS;

const NAME: &str = "permessage-deflate";
/// As most clients are answered.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// One that asks for a window is told how large it is.
const AGREED_ON_WINDOW: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15";

/// What the first offer that can be agreed to is answered; `None`: there is none.
pub(super) fn answer(headers: &HeaderMap) -> Option<&'static str> {
    headers
        .get_all(SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .filter_map(|offers| offers.to_str().ok())
        .flat_map(|offers| offers.split(','))
        .find_map(agreed)
}

fn agreed(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some(NAME) {
        return None;
    }
    let (mut seen, mut answer) = (Vec::new(), AGREED);
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start()))),
            None => (part, None),
        };
        match (name, value.map(bits)) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // Whatever it keeps to, it is read.
            ("client_max_window_bits", None | Some(Some(_))) => {}
            ("server_max_window_bits", Some(Some(WINDOW_BITS))) => answer = AGREED_ON_WINDOW,
            _ => return None,
        }
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    Some(answer)
}

fn unquoted(value: &str) -> &str {
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// The size of a window, as a power of two; `None`: it is none.
fn bits(value: &str) -> Option<u8> {
    (8..=15).find(|bits: &u8| bits.to_string() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(offers: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, offer.parse().expect("a value"));
        }
        answer(&headers)
    }

    #[test]
    fn what_can_be_kept_is_agreed_to() {
        for offer in [
            // Chromium, and others that browsers are made of.
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate",
            // gorilla/websocket.
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate;client_max_window_bits=9",
            "permessage-deflate ; client_max_window_bits = \"15\"",
            "x-other; a=1, permessage-deflate",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        ] {
            assert_eq!(of(&[offer]), Some(AGREED), "{offer}");
        }
        assert_eq!(of(&["x-other", "permessage-deflate"]), Some(AGREED));
        let window = "permessage-deflate; server_max_window_bits=15";
        assert_eq!(of(&[window]), Some(AGREED_ON_WINDOW));
    }

    #[test]
    fn what_cannot_is_not() {
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=015",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; colour=blue",
            "permessage-deflate;",
            "Permessage-bzip2",
        ] {
            assert_eq!(of(&[offer]), None, "{offer}");
        }
        assert_eq!(of(&[]), None);
    }
}
