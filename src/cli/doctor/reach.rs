//! The first things a client does: ask `/ping`, once in its life; and what the answer tells beside: the clocks.

use std::time::{Duration, UNIX_EPOCH};

use http::header::DATE;
use http::{Request, StatusCode};

use super::mend::Expected;
use super::report::Check;
use super::sides::Side;
use super::{redirect, unreachable};
use crate::cli::client::paths::Paths;
use crate::client::exchange::{self, Answer};
use crate::event::now_ms;

/// What clients compare with, byte by byte, the newline included.
pub const PONG: &str = "{\"ret\": \"pong\"}\n";
/// From this difference on, in seconds, tokens may run out early or late.
const APART: i64 = 5;
/// From this difference on, in seconds, the tokens of seaf-server (good for five minutes) are hardly of use.
const FAR_APART: i64 = 120;

/// Asks `/ping` and compares clocks. Without any answer, nothing else is worth asking there: the second value says so.
pub async fn ping(side: &Side) -> (Vec<Check>, bool) {
    let place = side.place;
    let request = match Request::get(side.server.ping_path())
        .header("User-Agent", side.agent())
        .body(String::new())
    {
        Ok(request) => request,
        Err(error) => {
            let mend = format!(
                "{}=https://SEAFILE.EXAMPLE.COM/notification    # such an address",
                side.variable()
            );
            return (
                vec![Check::fail(
                    place,
                    "ping",
                    format!("no request can be made: {error}"),
                    vec![mend],
                )],
                false,
            );
        }
    };
    let asked = now_ms();
    match exchange::send(&side.server, request, super::PATIENCE).await {
        Ok((answer, _)) => {
            let (middle, ping) = (asked.midpoint(now_ms()), judge(side, &answer));
            (
                [Some(ping), clock(side, &answer, middle)]
                    .into_iter()
                    .flatten()
                    .collect(),
                true,
            )
        }
        Err(error) => (
            vec![Check::fail(
                place,
                "ping",
                error.to_string(),
                unreachable::mend(side, &error),
            )],
            false,
        ),
    }
}

fn judge(side: &Side, answer: &Answer) -> Check {
    let (place, path) = (side.place, side.server.ping_path());
    let mend = |want| side.front.mend(want, &answer.headers, &answer.body);
    let status = answer.status;
    match StatusCode::from_u16(status).unwrap_or_default() {
        StatusCode::OK if answer.body == PONG => Check::ok(
            place,
            "ping",
            format!(
                "{path} answers as it should, in {} ms",
                answer.took.as_millis()
            ),
        ),
        StatusCode::OK => {
            let what = format!(
                "{path} answers 200, but something else than a notification server: {}",
                start(&answer.body)
            );
            Check::fail(place, "ping", what, mend(Expected::Route))
        }
        status if status.is_redirection() => {
            let (what, mend) = redirect::explain(side, &path, answer);
            Check::fail(place, "ping", what, mend)
        }
        StatusCode::BAD_REQUEST
            if answer.body.contains("HTTPS port")
                || answer.body.contains("speaking plain HTTP") =>
        {
            let what = format!("{path} answers 400: that port speaks https, and was asked by http");
            let mend = vec![format!(
                "{}=https://{}{}",
                side.variable(),
                side.server.authority(),
                side.server.prefix()
            )];
            Check::fail(place, "ping", what, mend)
        }
        StatusCode::BAD_REQUEST => {
            let what = format!(
                "{path} answers 400 to a request that is right: {}",
                start(&answer.body)
            );
            Check::fail(place, "ping", what, mend(Expected::NoProxyProtocol))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let what = format!("{path} answers {status}: clients have no password for the proxy");
            Check::fail(
                place,
                "ping",
                what,
                vec![format!("take the restriction of {path} out of the proxy")],
            )
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            let what = format!("{path} answers {status}: the proxy does not reach a node");
            Check::fail(place, "ping", what, mend(Expected::Address))
        }
        StatusCode::NOT_FOUND => {
            let what = format!("{path} answers 404: the proxy does not lead it to a node");
            Check::fail(place, "ping", what, mend(Expected::Route))
        }
        status => {
            let what = format!("{path} answers {status}: {}", start(&answer.body));
            Check::fail(place, "ping", what, mend(Expected::Route))
        }
    }
}

/// The beginning of a text, on one line.
pub fn start(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(80).collect();
    if cut.is_empty() {
        "(empty)".into()
    } else {
        cut
    }
}

/// The other side's clock against ours. `middle`: when its answer was made, as nearly as can be told, Unix milliseconds.
fn clock(side: &Side, answer: &Answer, middle: u64) -> Option<Check> {
    let date = httpdate::parse_http_date(answer.headers.get(DATE)?.to_str().ok()?).ok()?;
    let theirs = date.duration_since(UNIX_EPOCH).ok()?.as_secs() as i64;
    let ahead = theirs - (middle / 1_000) as i64;
    Some(judge_clock(side.place, ahead))
}

fn judge_clock(place: &'static str, ahead: i64) -> Check {
    let by = Duration::from_secs(ahead.unsigned_abs());
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!("its clock is {} s {way} this machine's", by.as_secs());
    let mend = || {
        vec![
            "timedatectl set-ntp true    # on the machine whose clock is wrong, Seafile's included"
                .to_owned(),
        ]
    };
    match ahead.abs() {
        0..APART => Check::ok(place, "clock", "agrees with this machine's"),
        APART..FAR_APART => Check::warn(place, "clock", what, mend()),
        _ => Check::fail(
            place,
            "clock",
            what + ": tokens are refused, or are good for too long",
            mend(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        for (ahead, outcome) in [
            (0, Outcome::Ok),
            (-4, Outcome::Ok),
            (5, Outcome::Warn),
            (-119, Outcome::Warn),
            (120, Outcome::Fail),
        ] {
            assert_eq!(judge_clock("inner", ahead).outcome, outcome, "{ahead}");
        }
        assert!(judge_clock("inner", -30).what.contains("30 s behind"));
    }
}
