//! What the operating system and TLS say when something fails, in words for administrators.
//!
//! Invariant: no text is made from Rust's `Debug`, and none gives advice: whoever knows the setting adds that.

use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

/// Why TLS could not be agreed on. Each text is about the other side and reads on after its address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TlsFault {
    /// No trusted authority has signed the certificate.
    #[error("its certificate is signed by an authority that is not trusted here")]
    Authority,
    /// The certificate shown is an authority's own.
    #[error(
        "it shows an authority's own certificate (CA:TRUE), which no server may use: have it sign one for the server"
    )]
    OwnAuthority,
    /// The certificate is for other names: these.
    #[error("its certificate is not for the name it is asked by{}", names(.0))]
    Name(Vec<String>),
    /// The certificate's time is over.
    #[error("its certificate has expired (or this machine's clock is wrong)")]
    Expired,
    /// The certificate's time has not begun.
    #[error("its certificate is not valid yet (or this machine's clock is wrong)")]
    NotYet,
    /// The other side wants to see a certificate of ours, or does not trust it.
    #[error("it wants a certificate of the client that it trusts")]
    ClientCertificate,
    /// The other side does not answer in TLS.
    #[error("it does not speak TLS on this port")]
    Plain,
    /// No version or cipher in common, or the handshake was refused without a better reason.
    #[error(
        "it refuses the TLS handshake: it may want a certificate of the client, another name, or TLS older than 1.2"
    )]
    Refused,
    /// Anything else.
    #[error("TLS fails: {0}")]
    Other(String),
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(", but for {}", names.join(", "))
    }
}

impl TlsFault {
    /// The fault's short name.
    pub fn label(&self) -> &'static str {
        self.into()
    }

    /// The fault that a crate's text tells of, which may be Rust's `Debug` of one.
    pub fn told(text: &str) -> Option<Self> {
        let says = |word: &str| text.contains(word);
        if says("UnknownIssuer") {
            Some(Self::Authority)
        } else if says("CaUsedAsEndEntity") {
            Some(Self::OwnAuthority)
        } else if says("NotValidForName") {
            let names = text
                .split("presented: [")
                .nth(1)
                .and_then(|rest| rest.split(']').next())
                .unwrap_or_default();
            let names = names.split(", ").filter(|name| !name.is_empty());
            Some(Self::Name(
                names
                    .map(|name| bare(name.replace('\\', "").trim_matches('"')))
                    .collect(),
            ))
        } else if says("InvalidCertificate(Expired") {
            Some(Self::Expired)
        } else if says("InvalidCertificate(NotValidYet") {
            Some(Self::NotYet)
        } else if says("AlertReceived(CertificateRequired)") || says("AlertReceived(UnknownCA)") {
            Some(Self::ClientCertificate)
        } else if says("InvalidContentType") {
            Some(Self::Plain)
        } else if says("AlertReceived(HandshakeFailure)") || says("AlertReceived(ProtocolVersion)")
        {
            Some(Self::Refused)
        } else {
            None
        }
    }

    /// The fault that lies in `error`, if TLS is what failed.
    pub fn of(error: &io::Error) -> Option<Self> {
        error
            .get_ref()?
            .downcast_ref::<rustls::Error>()
            .map(Self::from)
    }
}

impl From<&rustls::Error> for TlsFault {
    fn from(error: &rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(wrong) => certificate(wrong),
            E::AlertReceived(
                AlertDescription::CertificateRequired | AlertDescription::BadCertificate,
            )
            | E::AlertReceived(
                AlertDescription::UnknownCA | AlertDescription::CertificateUnknown,
            ) => Self::ClientCertificate,
            E::AlertReceived(
                AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion,
            )
            | E::PeerIncompatible(_) => Self::Refused,
            E::InvalidMessage(_) => Self::Plain,
            // Said by the one who trusts one certificate only.
            E::General(text) => Self::Other(text.clone()),
            other => Self::Other(other.to_string()),
        }
    }
}

fn certificate(wrong: &CertificateError) -> TlsFault {
    use CertificateError as C;
    match wrong {
        C::UnknownIssuer => TlsFault::Authority,
        C::NotValidForName => TlsFault::Name(Vec::new()),
        C::NotValidForNameContext { presented, .. } => {
            TlsFault::Name(presented.iter().map(|name| bare(name)).collect())
        }
        C::Expired | C::ExpiredContext { .. } => TlsFault::Expired,
        C::NotValidYet | C::NotValidYetContext { .. } => TlsFault::NotYet,
        other if other.to_string().contains("CaUsedAsEndEntity") => TlsFault::OwnAuthority,
        C::BadEncoding => TlsFault::Other("its certificate cannot be read".to_owned()),
        C::Revoked => TlsFault::Other("its certificate is revoked".to_owned()),
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            TlsFault::Other("its certificate is not for servers (extended key usage)".to_owned())
        }
        _ => TlsFault::Other("its certificate is not accepted".to_owned()),
    }
}

/// `DnsName("a.example")` is how the TLS crate names what a certificate is for.
fn bare(name: &str) -> String {
    name.split('"')
        .nth(1)
        .unwrap_or(name)
        .trim_start_matches("IpAddress(")
        .trim_end_matches(')')
        .to_owned()
}

/// What the system says, in words.
pub fn words(error: &io::Error) -> String {
    if let Some(fault) = TlsFault::of(error) {
        return fault.to_string();
    }
    let text = error.to_string();
    if let Some((_, why)) = text.split_once("failed to lookup address information: ") {
        return format!("the name cannot be resolved ({})", why.to_lowercase());
    }
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program has this port".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused: nothing listens there".to_owned(),
        io::ErrorKind::TimedOut => "no answer: a firewall, or the machine is not there".to_owned(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => "it ends the connection without an answer".to_owned(),
        _ => without_number(&text),
    }
}

/// Words for what a database's client says: of TLS, of the system, or the database's own.
pub fn quoted(text: &str) -> String {
    match TlsFault::told(text) {
        Some(fault) => fault.to_string(),
        None => undebugged(text.trim_start_matches("Input/output error: ")),
    }
}

/// Words for a text that may be Rust's `Debug` of a system error, as crates pass some on.
pub fn undebugged(text: &str) -> String {
    let quoted = |name: &str| Some(text.split_once(name)?.1.split('"').next()?.to_owned());
    if text.contains("ConnectionRefused") || text.contains("Connection refused") {
        return words(&io::ErrorKind::ConnectionRefused.into());
    }
    if let Some(code) = text
        .strip_prefix("Os { code: ")
        .and_then(|rest| rest.split(',').next()?.parse().ok())
    {
        return words(&io::Error::from_raw_os_error(code));
    }
    let looked_up = text
        .contains("failed to lookup address")
        .then(|| quoted("error: \""))
        .flatten();
    match looked_up
        .or_else(|| quoted("message: \""))
        .or_else(|| quoted("error: \""))
    {
        Some(inner) => words(&io::Error::other(inner)),
        None => words(&io::Error::other(text.to_owned())),
    }
}

/// `Connection refused (os error 111)` without its end.
fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests;
