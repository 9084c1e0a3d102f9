//! The lines that mend a proxy in front of event streams, for each proxy.
//!
//! Invariant: where the proxy gave itself away, only its own lines are shown; no line touches other paths than those of inboxes.

use http::HeaderMap;

use super::super::mend::{Proxy, named};

/// What is missing in the proxy's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// What comes is passed on at once.
    Unbuffered,
    /// Event streams are not compressed.
    NoGzip,
    /// Browsers get HTTP/2.
    Http2,
    /// A stream may be silent for a minute.
    Patience,
    /// Where no node answers, pages are told to come back.
    Wait,
    /// The paths lead to the nodes.
    Route,
    /// Only Foghorn says which origins may read.
    OneOrigin,
}

/// The lines, of `proxy` where that is known, else of whom the answer's headers and body look like, else of all.
pub fn lines(need: Need, proxy: Option<Proxy>, headers: &HeaderMap, body: &str) -> Vec<String> {
    named(proxy, (headers, body), |proxy| of(proxy, need).to_vec())
}

fn of(proxy: Proxy, need: Need) -> &'static [&'static str] {
    match proxy {
        Proxy::Nginx => nginx(need),
        Proxy::Haproxy => haproxy(need),
        Proxy::Apache => apache(need),
        Proxy::Caddy => caddy(need),
    }
}

fn nginx(need: Need) -> &'static [&'static str] {
    match need {
        Need::Unbuffered => &[
            "proxy_buffering off;    # in location /sse, without `proxy_ignore_headers X-Accel-Buffering`",
            "proxy_http_version 1.1; proxy_set_header Connection \"\";",
        ],
        Need::NoGzip => {
            &["gzip off;    # in location /sse; or take text/event-stream and * out of gzip_types"]
        }
        Need::Http2 => &["listen 443 ssl http2;    # from nginx 1.25.1 on: http2 on;"],
        Need::Patience => &[
            "proxy_read_timeout 90s; proxy_send_timeout 90s;    # in location /sse: signs of life come within 58 s",
        ],
        Need::Wait => &[
            "error_page 502 503 504 = @sse_wait;    # in location /sse",
            "location @sse_wait { default_type text/event-stream; add_header Access-Control-Allow-Origin $http_origin always;",
            "    add_header Access-Control-Allow-Credentials true always; return 200 \"retry: 7000\\n\\n\"; }",
        ],
        Need::Route => &[
            "location /sse { proxy_pass http://NODE:3000; }    # and /webNotification, /foghorn.js",
        ],
        Need::OneOrigin => {
            &["# take out `add_header Access-Control-…` for /sse: Foghorn sends them"]
        }
    }
}

fn haproxy(need: Need) -> &'static [&'static str] {
    match need {
        Need::Unbuffered => &["option http-no-delay    # in the backend of /sse"],
        Need::NoGzip => &[
            "# take text/event-stream out of `compression type`, or name some: without any, all are compressed",
        ],
        Need::Http2 => &["bind :443 ssl crt FULLCHAIN-AND-KEY.pem alpn h2,http/1.1"],
        Need::Patience => &[
            "timeout client 90s    # in the frontend",
            "timeout server 90s    # in the backend of /sse",
        ],
        Need::Wait => &[
            "errorfile 502 /etc/haproxy/sse-wait.http    # in a backend of its own for /sse; 503 and 504 too",
            "# the file: HTTP/1.1 200 OK, Content-Type: text/event-stream, an empty line, retry: 7000, an empty line;",
            "# for pages of another origin also Access-Control-Allow-Origin with it, and Access-Control-Allow-Credentials: true",
        ],
        Need::Route => &[
            "use_backend inbox if { path_beg -i /sse } or { path -i /webNotification /foghorn.js }    # in the frontend",
            "server inbox1 NODE:3000 check    # in `backend inbox`",
        ],
        Need::OneOrigin => {
            &["# take out `http-response add-header Access-Control-…` for /sse: Foghorn sends them"]
        }
    }
}

fn apache(need: Need) -> &'static [&'static str] {
    match need {
        Need::Unbuffered => &[
            "ProxyPass /sse http://NODE:3000/sse flushpackets=on",
            "# and no `SetOutputFilter BUFFER` for /sse",
        ],
        Need::NoGzip => &["SetEnvIfNoCase Request_URI \"^/sse\" no-gzip"],
        Need::Http2 => &["Protocols h2 http/1.1    # with mod_http2"],
        Need::Patience => &["ProxyPass /sse http://NODE:3000/sse timeout=90"],
        Need::Wait => &[
            "# Apache keeps the status whatever it answers: let another proxy, as nginx, take /sse",
        ],
        Need::Route => {
            &["ProxyPass /sse http://NODE:3000/sse    # and /webNotification, /foghorn.js"]
        }
        Need::OneOrigin => &["# take out `Header … Access-Control-…` for /sse: Foghorn sends them"],
    }
}

fn caddy(need: Need) -> &'static [&'static str] {
    match need {
        Need::Unbuffered => &["reverse_proxy NODE:3000 { flush_interval -1 }    # for /sse*"],
        Need::NoGzip => {
            &["encode gzip { match header Content-Type text/html* }    # not text/event-stream"]
        }
        Need::Http2 => &["# take `protocols h1` out of `servers`: Caddy speaks HTTP/2 by itself"],
        Need::Patience => {
            &["reverse_proxy NODE:3000 { transport http { read_timeout 90s } }    # for /sse*"]
        }
        Need::Wait => &[
            "handle_errors { header Content-Type text/event-stream; header Access-Control-Allow-Origin {header.Origin};",
            "    header Access-Control-Allow-Credentials true; respond \"retry: 7000\" 200 }    # for /sse*; the body with an empty line behind it",
        ],
        Need::Route => &["reverse_proxy /sse* NODE:3000    # and /webNotification, /foghorn.js"],
        Need::OneOrigin => &["# take out `header … Access-Control-…` for /sse: Foghorn sends them"],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::mend::ALL;
    use super::*;

    const NEEDS: [Need; 7] = [
        Need::Unbuffered,
        Need::NoGzip,
        Need::Http2,
        Need::Patience,
        Need::Wait,
        Need::Route,
        Need::OneOrigin,
    ];

    #[test]
    fn each_need_has_lines_for_each_proxy_and_only_for_the_one_that_gave_itself_away() {
        for need in NEEDS {
            let all = lines(need, None, &HeaderMap::new(), "").join("\n");
            for proxy in ALL {
                assert!(
                    all.contains(&format!("in {}:\n    ", proxy.name())),
                    "{need:?}: {all}"
                );
            }
            let mut headers = HeaderMap::new();
            headers.insert("server", "nginx/1.22.1".parse().expect("a value"));
            let own = lines(need, None, &headers, "").join("\n");
            assert!(
                own.starts_with("in nginx:") && !own.contains("HAProxy"),
                "{need:?}: {own}"
            );
            assert!(
                !all.contains("location / "),
                "{need:?} touches other paths: {all}"
            );
        }
    }
}
