//! The words for each kind of fault.

use super::*;

#[test]
fn the_system_is_quoted_in_words() {
    for (given, said) in [
        (
            io::Error::from_raw_os_error(111),
            "connection refused: nothing listens there",
        ),
        (
            io::Error::from_raw_os_error(110),
            "no answer: a firewall, or the machine is not there",
        ),
        (io::Error::from_raw_os_error(113), "No route to host"),
        (
            io::Error::from_raw_os_error(104),
            "it ends the connection without an answer",
        ),
        (
            io::Error::other("failed to lookup address information: Name or service not known"),
            "the name cannot be resolved (name or service not known)",
        ),
    ] {
        assert_eq!(words(&given), said);
    }
}

#[test]
fn debug_texts_of_crates_become_words() {
    let refused = format!("{:?}", io::Error::from_raw_os_error(111));
    let unknown = format!(
        "{:?}",
        io::Error::other("failed to lookup address information: Temporary failure")
    );
    let route = format!("{:?}", io::Error::from_raw_os_error(113));
    for (given, said) in [
        (
            refused.as_str(),
            "connection refused: nothing listens there",
        ),
        (&unknown, "the name cannot be resolved (temporary failure)"),
        (&route, "No route to host"),
        (
            "Input/output error: Connection refused (os error 111)",
            "connection refused: nothing listens there",
        ),
        ("NOPERM this user", "NOPERM this user"),
    ] {
        assert_eq!(undebugged(given), said);
    }
}

#[test]
fn what_a_databases_client_says_becomes_words() {
    let looked_up = "Input/output error: Input/output error: failed to lookup address information: Temporary failure";
    for (text, words) in [
        (looked_up, "the name cannot be resolved (temporary failure)"),
        (
            "Input/output error: tls error: invalid peer certificate: UnknownIssuer",
            "not trusted here",
        ),
        (
            "ERROR 28000 (1045): Access denied for user 'x'@'h'",
            "Access denied for user 'x'@'h'",
        ),
    ] {
        assert!(quoted(text).contains(words), "{}", quoted(text));
    }
}

#[test]
fn tls_faults_are_told_from_debug_texts_too() {
    let wrong = CertificateError::NotValidForNameContext {
        expected: rustls::pki_types::ServerName::try_from("a.example")
            .expect("a name")
            .to_owned(),
        presented: vec![
            "DnsName(\"b.example\")".into(),
            "IpAddress(10.0.0.1)".into(),
        ],
    };
    let alert = rustls::Error::AlertReceived;
    for error in [
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
        rustls::Error::InvalidCertificate(CertificateError::Expired),
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet),
        rustls::Error::InvalidCertificate(wrong),
        alert(AlertDescription::CertificateRequired),
        alert(AlertDescription::HandshakeFailure),
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
    ] {
        let wanted = TlsFault::from(&error);
        let inside = io::Error::new(io::ErrorKind::InvalidData, error);
        assert_eq!(TlsFault::told(&format!("{inside:?}")), Some(wanted));
    }
    assert_eq!(TlsFault::told("Connection refused"), None);
}

#[test]
fn tls_faults_are_told_apart() {
    let said = |error: rustls::Error| TlsFault::from(&error).to_string();
    let other_name = CertificateError::NotValidForNameContext {
        expected: rustls::pki_types::ServerName::try_from("a.example")
            .expect("a name")
            .to_owned(),
        presented: vec!["DnsName(\"b.example\")".into()],
    };
    for (error, part) in [
        (
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
            "authority that is not trusted",
        ),
        (
            rustls::Error::InvalidCertificate(other_name),
            "asked by, but for b.example",
        ),
        (
            rustls::Error::InvalidCertificate(CertificateError::Expired),
            "has expired",
        ),
        (
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
            "certificate of the client",
        ),
        (
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            "does not speak TLS",
        ),
    ] {
        assert!(said(error.clone()).contains(part), "{}", said(error));
    }
}
