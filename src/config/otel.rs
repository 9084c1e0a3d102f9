//! Where traces go, by Foghorn's settings and by OpenTelemetry's own.
//!
//! Invariants: Foghorn's win; what OpenTelemetry's say is read as its specification says, so that an operator that sets them for
//! all pods is understood, and what is meant for other programs there is noted and never keeps a node from starting.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::Otlp;
use super::parse::{Wrong, http_url};
use super::reader::Reader;
use super::secrets::one_of;
use super::settings::{self as s, Row, Setting};

/// What is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sampler {
    /// Everything.
    AlwaysOn,
    /// Nothing.
    AlwaysOff,
    /// A fraction.
    Ratio,
}

/// Reads `OTEL_TRACES_SAMPLER`. An event has no parent to ask, so what stands behind `parentbased_` decides.
fn sampler(text: &str) -> Result<Sampler, Wrong> {
    let text = text.trim();
    match text.strip_prefix("parentbased_").unwrap_or(text) {
        "always_on" => Ok(Sampler::AlwaysOn),
        "always_off" => Ok(Sampler::AlwaysOff),
        "traceidratio" => Ok(Sampler::Ratio),
        _ => Err(Wrong::default()),
    }
}

/// Reads `OTEL_TRACES_SAMPLER_ARG`: of a hundred, at least one unless it is none at all.
fn fraction(text: &str) -> Result<u8, Wrong> {
    let fraction: f64 = text.trim().parse().map_err(|_| Wrong::default())?;
    if !(0.0..=1.0).contains(&fraction) {
        return Err(Wrong::default());
    }
    let percent = (fraction * 100.0).round() as u8;
    Ok(if fraction > 0.0 { percent.max(1) } else { 0 })
}

/// Reads `OTEL_EXPORTER_OTLP_HEADERS`: pairs as in W3C baggage, without properties.
fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, Wrong> {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| header(pair).ok_or_else(Wrong::default))
        .collect()
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// Notes that what a setting says is not understood.
fn passed_over(r: &mut Reader, row: &Row, wrong: Wrong) {
    let hint = wrong.hint.filter(|hint| !r.tells(hint));
    let hint = hint.map(|hint| format!(". {hint}")).unwrap_or_default();
    let (name, shape) = (row.name, row.shape);
    r.notices
        .push(format!("{name} is passed over: it should be {shape}{hint}"));
}

/// What one of OpenTelemetry's settings says; what is not understood is noted and passed over.
fn understood<T>(
    r: &mut Reader,
    setting: &'static Setting<String>,
    read: impl Fn(&str) -> Result<T, Wrong>,
) -> Option<T> {
    let text = r.optional(setting).filter(|text| !text.is_empty())?;
    read(&text)
        .map_err(|wrong| passed_over(r, &setting.row, wrong))
        .ok()
}

/// Reads `OTEL_SDK_DISABLED` and `OTEL_TRACES_EXPORTER`: whether it is `yes`, or else `no`.
fn either<'a>(yes: &'a str, no: &'a str) -> impl Fn(&str) -> Result<bool, Wrong> + 'a {
    move |text| match text.trim() {
        text if text.eq_ignore_ascii_case(yes) => Ok(true),
        text if text.eq_ignore_ascii_case(no) => Ok(false),
        _ => Err(Wrong::default()),
    }
}

/// Where traces go; `None`: there are none.
pub fn otlp(r: &mut Reader) -> Option<Otlp> {
    let (own, percent) = (r.optional(&s::OTLP_ENDPOINT), r.value(&s::OTLP_PERCENT));
    let whole = understood(r, &s::OTEL_TRACES_ENDPOINT, http_url);
    let base = understood(r, &s::OTEL_ENDPOINT, http_url);
    let text = one_of(r, &s::OTEL_HEADERS, &s::OTEL_HEADERS_FILE).unwrap_or_default();
    let headers = headers(&text).unwrap_or_else(|wrong| {
        passed_over(r, &s::OTEL_HEADERS.row, wrong);
        Vec::new()
    });
    let service = r.value(&s::OTEL_SERVICE_NAME);
    let sampler = understood(r, &s::OTEL_SAMPLER, sampler).unwrap_or(Sampler::AlwaysOn);
    let fraction = understood(r, &s::OTEL_SAMPLER_ARG, fraction).unwrap_or(100);
    // What is not understood leaves it on, by the specification.
    let is_off = understood(r, &s::OTEL_DISABLED, either("true", "false")).unwrap_or(false);
    let is_none = understood(r, &s::OTEL_EXPORTER, either("none", "otlp")).unwrap_or(false);
    let endpoint = match own {
        Some(own) => with_path(own),
        None if is_none || is_off => return None,
        None => whole.or_else(|| base.map(below))?,
    };
    let percent = match sampler {
        _ if r.is_set(&s::OTLP_PERCENT.row) => percent as u8,
        Sampler::AlwaysOn => 100,
        Sampler::AlwaysOff => 0,
        Sampler::Ratio => fraction,
    };
    (percent > 0).then_some(Otlp {
        endpoint,
        percent,
        headers,
        service,
    })
}

/// Foghorn's: the usual path where there is none.
fn with_path(endpoint: Url) -> Url {
    if matches!(endpoint.path(), "" | "/") {
        below(endpoint)
    } else {
        endpoint
    }
}

/// OpenTelemetry's: the usual path below whatever path there is.
fn below(mut base: Url) -> Url {
    let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
    base.set_path(&path);
    base
}

#[cfg(test)]
mod tests {
    use super::super::{Otlp, Sources, load};
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Option<Otlp> {
        let settings = settings
            .iter()
            .chain(&[("JWT_PRIVATE_KEY", "mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A")]);
        let env = settings
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let config = load(&Sources {
            env,
            ..Sources::default()
        })
        .into_config();
        config.unwrap_or_else(|error| panic!("{error}")).otlp
    }

    fn address(settings: &[(&str, &str)]) -> Option<String> {
        read(settings).map(|otlp| otlp.endpoint.to_string())
    }

    const OWN: &str = "FOGHORN_OTLP_ENDPOINT";
    const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const WHOLE: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

    #[test]
    fn the_nearest_of_the_three_addresses_is_used() {
        let expect = |settings: &[(&str, &str)], url: &str| {
            assert_eq!(address(settings).as_deref(), Some(url))
        };
        assert_eq!(address(&[]), None);
        expect(&[(OWN, "http://c:4318")], "http://c:4318/v1/traces");
        expect(&[(OWN, "https://c/otlp/x")], "https://c/otlp/x");
        expect(&[(BASE, "http://b:4318")], "http://b:4318/v1/traces");
        expect(
            &[(BASE, "http://b:4318/otlp/")],
            "http://b:4318/otlp/v1/traces",
        );
        expect(&[(BASE, "http://b"), (WHOLE, "http://w/x")], "http://w/x");
        expect(
            &[
                (BASE, "http://b"),
                (WHOLE, "http://w/x"),
                (OWN, "http://o/y"),
            ],
            "http://o/y",
        );
    }

    #[test]
    fn how_much_is_traced_is_opentelemetrys_choice_unless_it_is_ours() {
        let percent = |more: &[(&str, &str)]| {
            read(&[&[(BASE, "http://b")], more].concat()).map(|otlp| otlp.percent)
        };
        assert_eq!(percent(&[]), Some(100));
        assert_eq!(percent(&[("OTEL_TRACES_SAMPLER", "always_off")]), None);
        let ratio = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
        assert_eq!(
            percent(&[ratio, ("OTEL_TRACES_SAMPLER_ARG", "0.25")]),
            Some(25)
        );
        assert_eq!(
            percent(&[ratio, ("OTEL_TRACES_SAMPLER_ARG", "0.001")]),
            Some(1)
        );
        assert_eq!(percent(&[ratio, ("OTEL_TRACES_SAMPLER_ARG", "0")]), None);
        assert_eq!(percent(&[ratio, ("FOGHORN_OTLP_PERCENT", "7")]), Some(7));
        assert_eq!(percent(&[("OTEL_SDK_DISABLED", "true")]), None);
    }

    #[test]
    fn what_is_meant_for_others_is_noted_and_keeps_nobody_from_starting() {
        for (name, value) in [
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://x"),
            ("OTEL_SDK_DISABLED", "yes"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "not headers"),
        ] {
            assert!(
                read(&[(BASE, "http://b"), (name, value)]).is_some(),
                "{name}"
            );
        }
        assert_eq!(read(&[(BASE, "collector:4317")]), None);
        let off = ("OTEL_TRACES_EXPORTER", "none");
        assert_eq!(read(&[(BASE, "http://b"), off]), None);
        assert!(read(&[(OWN, "http://b"), off]).is_some());
        assert!(read(&[(OWN, "http://b"), ("OTEL_SDK_DISABLED", "true")]).is_some());
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let otlp = read(&[
            (BASE, "http://b"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20a-secret-token, x=1",
            ),
        ]);
        let otlp = otlp.expect("traces");
        assert_eq!(
            otlp.headers[0].1.to_str().ok(),
            Some("Bearer a-secret-token")
        );
        assert_eq!((otlp.headers.len(), otlp.service.as_str()), (2, "foghorn"));
        assert!(!format!("{otlp:?}").contains("a-secret-token"));
        for wrong in ["a", "a b=c", "a=\u{7f}"] {
            assert!(headers(wrong).is_err(), "{wrong}");
        }
    }
}
