//! What an answer that leads elsewhere says about the proxy or the address.
//!
//! Invariant: what is to be changed is the address of the notification server, or the proxy's own rule for its path; never
//! the address of Seafile itself.

use http::StatusCode;
use http::header::LOCATION;
use url::Url;

use super::mend::Expected;
use super::sides::Side;
use crate::client::exchange::Answer;

/// What is wrong where `path` is answered with a redirection, and the lines that mend it.
pub fn explain(side: &Side, path: &str, answer: &Answer) -> (String, Vec<String>) {
    let status = StatusCode::from_u16(answer.status)
        .unwrap_or_default()
        .as_u16();
    let to = answer
        .headers
        .get(LOCATION)
        .and_then(|to| to.to_str().ok())
        .unwrap_or("nowhere");
    let what = format!("{path} answers {status} and leads to {to}: clients do not follow");
    let route = || {
        side.front
            .mend(Expected::Route, &answer.headers, &answer.body)
    };
    let Some((here, there)) = addresses(side, path, to) else {
        return (what, route());
    };
    let place = |url: &Url| {
        (
            url.host_str().map(ToOwned::to_owned),
            url.port_or_known_default(),
        )
    };
    if there.path() == format!("{}/", here.path()) && place(&here) == place(&there) {
        return (
            what,
            side.front
                .mend(Expected::NoSlash, &answer.headers, &answer.body),
        );
    }
    if there.path().trim_end_matches('/') != here.path().trim_end_matches('/') {
        return (
            format!("{what}; the proxy leads it to something else than a node"),
            route(),
        );
    }
    let base = base(&there);
    let mut mend = vec![format!(
        "{}={base}    # in Seafile's environment",
        side.variable()
    )];
    if side.place == "public" {
        mend.push(format!(
            "foghorn doctor --url {base}    # looks at that address"
        ));
    }
    (what, mend)
}

fn addresses(side: &Side, path: &str, to: &str) -> Option<(Url, Url)> {
    let here = Url::parse(&side.origin()).ok()?.join(path).ok()?;
    let there = here.join(to).ok()?;
    matches!(there.scheme(), "http" | "https").then_some((here, there))
}

/// The address of the notification server, out of one that is asked there.
fn base(there: &Url) -> String {
    let mut base = there.clone();
    base.set_query(None);
    let path = base.path().trim_end_matches('/');
    let path = ["/ping", "/events"]
        .iter()
        .find_map(|end| path.strip_suffix(end))
        .unwrap_or(path)
        .to_owned();
    base.set_path(&path);
    base.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::super::mend::{Front, Proxy};
    use super::*;
    use crate::client::dial::Server;

    fn told(url: &str, path: &str, to: &str) -> String {
        let front = Front {
            proxy: Some(Proxy::Nginx),
            node: "n:8083".into(),
            path: "/notification".into(),
        };
        let side = Side {
            place: "public",
            server: Server::parse(url).expect("a URL"),
            front,
        };
        let headers = HeaderMap::from_iter([(LOCATION, to.parse().expect("a value"))]);
        let answer = Answer {
            status: 301,
            headers,
            body: String::new(),
            took: Duration::ZERO,
        };
        let (what, mend) = explain(&side, path, &answer);
        format!("{what}\n{}", mend.join("\n"))
    }

    #[test]
    fn each_way_elsewhere_is_told_apart() {
        let slash = told(
            "https://c.example/notification",
            "/notification",
            "https://c.example/notification/",
        );
        assert!(
            slash.contains("location /notification {") && slash.contains("without the slash"),
            "{slash}"
        );
        let secure = told(
            "http://c.example/notification",
            "/notification/ping",
            "https://c.example/notification/ping",
        );
        assert!(
            secure.contains("NOTIFICATION_SERVER_URL=https://c.example/notification "),
            "{secure}"
        );
        let login = told(
            "https://c.example/notification",
            "/notification/ping",
            "/accounts/login/?next=/notification",
        );
        assert!(
            login.contains("something else than a node") && login.contains("proxy_pass"),
            "{login}"
        );
        for text in [slash, secure, login] {
            assert!(
                !text.contains("SERVICE_URL") && !text.contains("location / {"),
                "{text}"
            );
        }
    }
}
