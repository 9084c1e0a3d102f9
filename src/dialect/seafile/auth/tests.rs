//! Tokens, case by case.

use super::*;

const KEY: &str = "testkey-testkey-testkey-testkey-00";

fn signed(header: &str, payload: &str, key: &str, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", B64.encode(header), B64.encode(payload));
    let key = EncodingKey::from_secret(key.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).expect("good");
    format!("{message}.{signature}")
}

fn judge(payload: &str) -> Result<Claims, Refusal> {
    Keys::new(KEY, None).verify(
        &signed(r#"{"alg":"HS256"}"#, payload, KEY, Algorithm::HS256),
        1_000,
    )
}

#[test]
fn the_self_test_passes_with_any_key() {
    for key in ["", "k", KEY, &"long".repeat(100), "ключ"] {
        assert_eq!(Keys::new(key, None).self_test(), Ok(()), "{key}");
    }
}

#[test]
fn what_is_signed_is_read_back() {
    let keys = Keys::new(KEY, None);
    let claims = Claims {
        exp: i64::MAX,
        repo_id: Some("r".into()),
        username: Some(String::new()),
    };
    assert_eq!(keys.verify(&keys.sign(&claims), i64::MAX - 1), Ok(claims));
}

#[test]
fn hs256_384_and_512_and_nothing_else() {
    let keys = Keys::new(KEY, None);
    let payload = r#"{"exp":2000}"#;
    for (name, algorithm) in [
        ("HS256", Algorithm::HS256),
        ("HS384", Algorithm::HS384),
        ("HS512", Algorithm::HS512),
    ] {
        // The header's other fields do not matter.
        let token = signed(
            &format!(r#"{{"typ":7,"alg":"{name}","crit":["x"]}}"#),
            payload,
            KEY,
            algorithm,
        );
        assert_eq!(keys.verify(&token, 0).map(|c| c.exp), Ok(2000), "{name}");
    }
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"ALG":"HS256"}"#,
        "{}",
    ] {
        let token = signed(header, payload, KEY, Algorithm::HS256);
        assert_eq!(keys.verify(&token, 0), Err(Refusal::Algorithm), "{header}");
        assert_eq!(
            keys.verify(&format!("{}.", token.rsplit_once('.').expect("a dot").0), 0),
            Err(Refusal::Algorithm)
        );
    }
    let wrong = signed(r#"{"alg":"HS512"}"#, payload, KEY, Algorithm::HS256);
    assert_eq!(keys.verify(&wrong, 0), Err(Refusal::Signature));
}

#[test]
fn no_leeway_and_whole_seconds_only() {
    assert_eq!(judge(r#"{"exp":1001}"#).map(|c| c.exp), Ok(1001));
    assert_eq!(judge(r#"{"exp":1000}"#), Err(Refusal::Expired));
    assert_eq!(judge(r#"{"exp":-5}"#), Err(Refusal::Expired));
    for exp in [
        "\"4102444800\"",
        "4102444800.5",
        "4102444800.0",
        "4e9",
        "null",
        "true",
        "9223372036854775808",
    ] {
        assert_eq!(
            judge(&format!(r#"{{"exp":{exp}}}"#)),
            Err(Refusal::Claims),
            "{exp}"
        );
    }
    assert_eq!(judge("{}"), Err(Refusal::Claims));
    assert_eq!(judge("null"), Err(Refusal::Claims));
    assert_eq!(judge("[]"), Err(Refusal::Claims));
}

#[test]
fn known_claims_have_their_type_and_exact_name() {
    assert_eq!(judge(r#"{"exp":2000,"repo_id":7}"#), Err(Refusal::Claims));
    assert_eq!(
        judge(r#"{"exp":2000,"username":["a"]}"#),
        Err(Refusal::Claims)
    );
    assert_eq!(judge(r#"{"EXP":2000}"#), Err(Refusal::Claims));
    let claims =
        judge(r#"{"exp":2000,"Repo_ID":"x","USERNAME":"u","iat":"odd","aud":5,"deep":[[{}]]}"#)
            .expect("good");
    assert_eq!((claims.repo_id(), claims.username()), ("", ""));
    let claims =
        judge(r#"{"exp":1,"repo_id":"x","repo_id":"y","exp":2000,"username":null}"#).expect("good");
    assert_eq!(
        (claims.exp, claims.repo_id(), &claims.username),
        (2000, "y", &None)
    );
}

#[test]
fn nbf_is_honoured() {
    assert!(judge(r#"{"exp":2000,"nbf":1000}"#).is_ok());
    assert!(judge(r#"{"exp":2000,"nbf":null}"#).is_ok());
    assert_eq!(
        judge(r#"{"exp":2000,"nbf":1001}"#),
        Err(Refusal::NotYetValid)
    );
    assert_eq!(
        judge(r#"{"exp":2000,"nbf":1000.5}"#),
        Err(Refusal::NotYetValid)
    );
    assert_eq!(judge(r#"{"exp":2000,"nbf":"0"}"#), Err(Refusal::Claims));
}

#[test]
fn bytes_after_the_claims_spoil_them() {
    assert_eq!(judge(r#"{"exp":2000}x"#), Err(Refusal::Claims));
    assert_eq!(judge(r#"{"exp":2000}{}"#), Err(Refusal::Claims));
    assert!(judge("{\"exp\":2000}\n").is_ok());
}

#[test]
fn junk_is_told_from_a_wrong_key() {
    let keys = Keys::new(KEY, None);
    let token = keys.sign(&Claims {
        exp: 2000,
        ..Claims::default()
    });
    assert_eq!(keys.verify("", 0), Err(Refusal::Missing));
    for junk in [
        "abc",
        "a.b",
        "a.b.c",
        "...",
        " . . ",
        "Token x.y.z",
        "\u{e9}.\u{e9}.\u{e9}",
    ] {
        assert_eq!(keys.verify(junk, 0), Err(Refusal::Malformed), "{junk}");
    }
    assert!(keys.verify(&format!("Token {token}"), 0).is_err());
    assert!(keys.verify(&format!("{token}x"), 0).is_err());
    assert!(keys.verify(&format!("{token}.x"), 0).is_err());
    assert_eq!(
        Keys::new("another-key", None).verify(&token, 0),
        Err(Refusal::Signature)
    );
}

#[test]
fn both_keys_are_good_while_keys_change() {
    let keys = Keys::new("old", None);
    let clone = keys.clone();
    let old = keys.sign(&Claims {
        exp: 2000,
        ..Claims::default()
    });
    keys.replace("new", Some("old"));
    assert!(clone.verify(&old, 0).is_ok());
    assert_eq!(clone.verify(&old, 2000), Err(Refusal::Expired));
    assert!(
        Keys::new("new", None)
            .verify(
                &clone.sign(&Claims {
                    exp: 2000,
                    ..Claims::default()
                }),
                0
            )
            .is_ok()
    );
    keys.replace("new", Some(""));
    assert_eq!(clone.verify(&old, 0), Err(Refusal::Signature));
}

#[test]
fn fingerprints_tell_keys_apart_and_nothing_prints_a_key() {
    let (one, two) = (Keys::new("one-secret", None), Keys::new("two-secret", None));
    assert_eq!(
        one.fingerprint(),
        Keys::new("one-secret", Some("x")).fingerprint()
    );
    assert_ne!(one.fingerprint(), two.fingerprint());
    assert!(
        one.fingerprint().len() == 8 && one.fingerprint().bytes().all(|b| b.is_ascii_hexdigit())
    );
    assert!(!format!("{one:?}").contains("secret"));
}
