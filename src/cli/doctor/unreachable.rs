//! What helps where there is no answer at all: no connection, no TLS, no HTTP.
//!
//! Invariant: advice is for the fault at hand and for the side it was met on.

use super::sides::Side;
use crate::client::ClientError;
use crate::fault::TlsFault;

/// The lines that help.
pub fn mend(side: &Side, error: &ClientError) -> Vec<String> {
    match error {
        ClientError::Connect { source, .. } => match TlsFault::of(source) {
            Some(fault) => tls(side, &fault),
            None => nobody(side),
        },
        ClientError::Timeout(..) => nobody(side),
        ClientError::Tls(_) => vec![
            "apt install ca-certificates    # on this machine: the authorities that it trusts"
                .into(),
            "SSL_CERT_FILE=AUTHORITIES.pem    # in this command's environment, else".into(),
        ],
        ClientError::Http { .. } => {
            let other = if side.server.tls() { "http" } else { "https" };
            vec![format!(
                "{}={other}://{}    # if that port speaks {other}; else something else than HTTP listens there",
                side.variable(),
                host_and_path(side)
            )]
        }
        ClientError::Url { .. } | ClientError::WebSocket(_) => {
            vec![format!(
                "{}=https://SEAFILE.EXAMPLE.COM/notification    # such an address",
                side.variable()
            )]
        }
    }
}

fn host_and_path(side: &Side) -> String {
    format!("{}{}", side.server.authority(), side.server.prefix())
}

fn nobody(side: &Side) -> Vec<String> {
    if side.place == "public" {
        return vec![format!(
            "does the proxy run, and does a firewall let {} through?",
            side.server.authority()
        )];
    }
    vec![
        "is the node running, and is this the address that Seafile uses? In Seafile's environment:".into(),
        format!("INNER_NOTIFICATION_SERVER_URL={}", side.server.url()),
        "NOTIFICATION_SERVER_HOST=0.0.0.0    # the node's; 127.0.0.1 is reached from its own machine only".into(),
    ]
}

fn tls(side: &Side, fault: &TlsFault) -> Vec<String> {
    let bare = host_and_path(side);
    match fault {
        TlsFault::Authority | TlsFault::OwnAuthority => vec![
            "the proxy must send a certificate that clients trust, with its whole chain:".into(),
            "nginx: ssl_certificate FULLCHAIN.pem;".into(),
            "HAProxy: bind :443 ssl crt FULLCHAIN-AND-KEY.pem".into(),
            "a private authority's certificate is named to this command by SSL_CERT_FILE=AUTHORITY.pem".into(),
        ],
        TlsFault::Name(names) => {
            let name = names.iter().find(|name| !name.contains('*')).map_or("NAME", String::as_str);
            vec![
                format!(
                    "{}=https://{name}{}    # a name that the certificate is for",
                    side.variable(),
                    side.server.prefix()
                ),
                format!("(or a certificate for {} as well)", side.server.authority()),
            ]
        }
        TlsFault::Expired | TlsFault::NotYet => {
            vec!["renew the proxy's certificate (certbot renew), or set the clock that is wrong (timedatectl)".into()]
        }
        TlsFault::ClientCertificate => vec![
            "Seafile's clients have no certificate to show. In the proxy, for this path:".into(),
            "nginx: ssl_verify_client off;".into(),
            "HAProxy: bind :443 ssl … verify none".into(),
        ],
        TlsFault::Plain => {
            vec![format!("{}=http://{bare}    # or the port that speaks TLS", side.variable())]
        }
        TlsFault::Refused => vec!["nginx: ssl_protocols TLSv1.2 TLSv1.3;    # clients speak nothing older".into()],
        TlsFault::Other(_) => {
            vec![format!("openssl s_client -connect {}    # what does it show?", side.server.authority())]
        }
    }
}
