//! The lines of configuration that mend a proxy, for each proxy there is an example of in `deploy/` and `haproxy/`.
//!
//! Invariant: where the proxy gave itself away, only its own lines are shown; else those of all, each with its name.

use clap::ValueEnum;
use http::HeaderMap;
use http::header::{SERVER, VIA};

/// A program that stands between clients and nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Proxy {
    Haproxy,
    Nginx,
    Apache,
    Caddy,
}

/// All of them.
pub const ALL: [Proxy; 4] = [Proxy::Haproxy, Proxy::Nginx, Proxy::Apache, Proxy::Caddy];

impl Proxy {
    /// Which one answered, as far as its answer tells.
    pub fn guess(headers: &HeaderMap, body: &str) -> Option<Self> {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_lowercase()
        };
        let signature = format!("{} {}", text(SERVER), text(VIA));
        if signature.contains("nginx") || signature.contains("openresty") {
            Some(Self::Nginx)
        } else if signature.contains("apache") {
            Some(Self::Apache)
        } else if signature.contains("caddy") {
            Some(Self::Caddy)
        } else if body.contains("No server is available to handle this request")
            || body.contains("<html><body><h1>")
            || signature.contains("haproxy")
        {
            // HAProxy names itself nowhere; its error pages all begin alike.
            Some(Self::Haproxy)
        } else {
            None
        }
    }

    /// As its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Apache => "Apache",
            Self::Caddy => "Caddy",
        }
    }
}

/// What is missing in the proxy's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// `Connection` and `Upgrade` have to be passed on.
    Upgrade,
    /// Requests have to go out as HTTP/1.1, and with those two headers.
    Http11,
    /// Another header of the handshake has to be passed on.
    Header(&'static str),
    /// The public path has to lead to the nodes.
    Route,
    /// The nodes' address is wrong, or they do not run.
    Address,
    /// `/notification/events` has to lead to the nodes.
    Events,
    /// The path itself has to lead to the nodes, not only what is below it.
    NoSlash,
    /// Requests have to go out without a PROXY line before them.
    NoProxyProtocol,
    /// A quiet connection has to outlast the node's heartbeat.
    Patience,
}

/// The proxy in front, as far as it is known, and where it should lead.
#[derive(Clone, Debug)]
pub struct Front {
    /// Which one it is.
    pub(super) proxy: Option<Proxy>,
    /// Host and port of a node.
    pub(super) node: String,
    /// The public path, `/notification` as a rule.
    pub(super) path: String,
}

/// Lines for `proxy` where that is known, else for whom the answer's headers and body look like, else for each, under its name.
pub fn named<L: std::fmt::Display>(
    proxy: Option<Proxy>,
    (headers, body): (&HeaderMap, &str),
    lines: impl Fn(Proxy) -> Vec<L>,
) -> Vec<String> {
    let known = proxy.or_else(|| Proxy::guess(headers, body));
    let of = |proxy: Proxy| {
        let own = lines(proxy).into_iter().map(|line| format!("    {line}"));
        [format!("in {}:", proxy.name())]
            .into_iter()
            .chain(own)
            .collect::<Vec<_>>()
    };
    match known {
        Some(proxy) => of(proxy),
        None => ALL.into_iter().flat_map(of).collect(),
    }
}

impl Front {
    /// The lines to put into the proxy's configuration. `headers` and `body` are of its answer.
    pub fn mend(&self, want: Expected, headers: &HeaderMap, body: &str) -> Vec<String> {
        named(self.proxy, (headers, body), |proxy| self.lines(proxy, want))
    }

    fn lines(&self, proxy: Proxy, want: Expected) -> Vec<String> {
        match proxy {
            Proxy::Haproxy => self.haproxy(want),
            Proxy::Nginx => self.nginx(want),
            Proxy::Apache => self.apache(want),
            Proxy::Caddy => self.caddy(want),
        }
    }

    fn haproxy(&self, want: Expected) -> Vec<String> {
        let (node, path) = (&self.node, &self.path);
        match want {
            Expected::Upgrade | Expected::Http11 => vec![
                "mode http    # in the frontend and the backend, without `option httpclose`".into(),
                "# and take out each `http-request del-header`, `set-header` or `replace-header` of Upgrade or Connection".into(),
            ],
            Expected::Header(name) => vec![format!("# take out each `http-request del-header` or `set-header` of {name}")],
            Expected::Route => vec![
                format!("use_backend foghorn if {{ path {path} }} or {{ path_beg {path}/ }}    # in the frontend, before default_backend"),
                format!("server foghorn1 {node} check    # in `backend foghorn`"),
            ],
            Expected::Address => vec![format!("server foghorn1 {node} check    # in the backend for {path}: the node's address and port")],
            Expected::Events => vec![
                format!("use_backend foghorn if {{ path {path}/events }} {{ src ADDRESS-OF-SEAHUB }}    # in the frontend"),
                "# and no `http-request deny` before it that catches Seahub's address".into(),
            ],
            Expected::NoSlash => vec![
                format!("use_backend foghorn if {{ path {path} }} or {{ path_beg {path}/ }}    # in the frontend"),
                format!("# and no `http-request redirect` before it that catches {path}"),
            ],
            Expected::NoProxyProtocol => vec![format!("server foghorn1 {node} check    # without `send-proxy`, which a node does not understand")],
            Expected::Patience => vec!["timeout tunnel 90s    # in the backend or defaults; above the heartbeat, twice".into()],
        }
    }

    fn nginx(&self, want: Expected) -> Vec<String> {
        let (node, path) = (&self.node, &self.path);
        let upgrade = [
            "proxy_set_header Upgrade $http_upgrade;",
            "proxy_set_header Connection \"upgrade\";",
        ];
        let inside = |lines: &[&str]| {
            let lines = lines.iter().map(|line| format!("    {line}"));
            [format!("location {path} {{")]
                .into_iter()
                .chain(lines)
                .chain(["}".to_owned()])
                .collect()
        };
        let pass = format!("proxy_pass http://{node};");
        match want {
            Expected::Upgrade => inside(&upgrade),
            Expected::Http11 => inside(&["proxy_http_version 1.1;", upgrade[0], upgrade[1]]),
            Expected::Header(name) => {
                let variable = name.to_lowercase().replace('-', "_");
                inside(&[&format!("proxy_set_header {name} $http_{variable};")])
            }
            Expected::Route => inside(&[&pass, "proxy_http_version 1.1;", upgrade[0], upgrade[1]]),
            Expected::Address => inside(&[&pass]),
            Expected::Events => vec![
                format!("location {path}/events {{"),
                "    allow ADDRESS-OF-SEAHUB;".into(),
                "    deny all;".into(),
                format!("    {pass}"),
                "}".into(),
            ],
            Expected::NoSlash => vec![format!(
                "location {path} {{    # in the place of `location {path}/ {{`: without the slash at its end"
            )],
            Expected::NoProxyProtocol => {
                vec!["# take out `proxy_protocol on;`, which a node does not understand".into()]
            }
            Expected::Patience => inside(&["proxy_read_timeout 90s;", "proxy_send_timeout 90s;"]),
        }
    }

    fn apache(&self, want: Expected) -> Vec<String> {
        let (node, path) = (&self.node, &self.path);
        let pass = format!("ProxyPass \"{path}\" \"http://{node}{path}\" upgrade=websocket");
        match want {
            Expected::Upgrade | Expected::Http11 => vec![
                format!("{pass}    # before the ProxyPass of /; needs Apache 2.4.47 and a2enmod proxy proxy_http"),
                "# and take out each `RequestHeader unset` of Upgrade or Connection, and `SetEnv force-proxy-request-1.0`"
                    .into(),
            ],
            Expected::Header(name) => vec![format!("# take out each `RequestHeader unset {name}`")],
            Expected::Route => vec![format!("{pass}    # before the ProxyPass of /")],
            Expected::Address => vec![pass],
            Expected::Events => vec![
                format!("<Location \"{path}/events\">"),
                "    Require ip ADDRESS-OF-SEAHUB".into(),
                "</Location>".into(),
                pass,
            ],
            Expected::NoSlash => vec![format!("{pass}    # in the place of `ProxyPass \"{path}/\"`: without the slash at its end")],
            Expected::NoProxyProtocol => vec!["# take out whatever sends a PROXY line to the node".into()],
            Expected::Patience => vec![format!("{pass} timeout=90")],
        }
    }

    fn caddy(&self, want: Expected) -> Vec<String> {
        let (node, path) = (&self.node, &self.path);
        let pass = format!("reverse_proxy {path}* {node}");
        match want {
            Expected::Upgrade | Expected::Http11 => {
                vec![format!(
                    "{pass}    # passes upgrades by itself: take out each `header_up -Upgrade` and `-Connection`"
                )]
            }
            Expected::Header(name) => vec![format!("# take out each `header_up -{name}`")],
            Expected::Route | Expected::Address | Expected::NoSlash => vec![pass],
            Expected::NoProxyProtocol => {
                vec!["# take out `proxy_protocol` in `transport http`, which a node does not understand".into()]
            }
            Expected::Patience => {
                vec!["# take out `idle_timeout`, `read_timeout` and `stream_timeout`, or raise them to 90s".into()]
            }
            Expected::Events => vec![format!(
                "reverse_proxy {path}/events {node}    # and no `respond 403` that catches Seahub's address"
            )],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(proxy: Option<Proxy>) -> Front {
        Front {
            proxy,
            node: "10.0.0.11:8083".into(),
            path: "/notification".into(),
        }
    }

    fn headers(server: &str) -> HeaderMap {
        HeaderMap::from_iter([(SERVER, server.parse().expect("a value"))])
    }

    #[test]
    fn a_proxy_gives_itself_away() {
        for (server, proxy) in [
            ("nginx/1.22.1", Some(Proxy::Nginx)),
            ("openresty", Some(Proxy::Nginx)),
            ("Apache/2.4.62 (Debian)", Some(Proxy::Apache)),
            ("Caddy", Some(Proxy::Caddy)),
            ("gunicorn", None),
        ] {
            assert_eq!(Proxy::guess(&headers(server), ""), proxy, "{server}");
        }
        let page = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n";
        assert_eq!(Proxy::guess(&HeaderMap::new(), page), Some(Proxy::Haproxy));
    }

    #[test]
    fn one_proxy_where_it_is_known_and_all_where_not() {
        let nginx = front(None).mend(Expected::Upgrade, &headers("nginx"), "");
        assert!(
            nginx[0] == "in nginx:" && nginx[1..].iter().all(|line| line.starts_with("    ")),
            "{nginx:?}"
        );
        assert!(
            nginx
                .iter()
                .any(|line| line.contains("proxy_set_header Upgrade $http_upgrade;"))
        );
        let told = front(Some(Proxy::Apache)).mend(Expected::Route, &headers("nginx"), "");
        assert!(
            told[1].contains("ProxyPass \"/notification\" \"http://10.0.0.11:8083/notification\""),
            "{told:?}"
        );
        let all = front(None).mend(Expected::Address, &HeaderMap::new(), "");
        for name in ["in HAProxy:", "in nginx:", "in Apache:", "in Caddy:"] {
            assert!(all.iter().any(|line| line == name), "{name} in {all:?}");
        }
        let key = front(Some(Proxy::Nginx)).mend(
            Expected::Header("Sec-WebSocket-Key"),
            &HeaderMap::new(),
            "",
        );
        assert!(key[2].contains("$http_sec_websocket_key"), "{key:?}");
    }
}
