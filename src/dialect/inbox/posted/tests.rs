//! What is posted, shape by shape.

use super::*;

fn form(body: &str) -> Result<(String, String), BadPost> {
    let posted = Posted::read(Shape::Form { literal: false }, body.as_bytes())?;
    Ok((
        posted.id,
        String::from_utf8(posted.data.unwrap_or_default()).expect("text"),
    ))
}

#[test]
fn strings_are_spelled_as_javascript_does() {
    let mut out = Vec::new();
    string("\" \\ \u{8}\u{c}\n\r\t\u{1}\u{7f}\u{2028}한/", &mut out);
    assert_eq!(
        String::from_utf8(out).expect("text"),
        "\"\\\" \\\\ \\b\\f\\n\\r\\t\\u0001\u{7f}\u{2028}한/\""
    );
}

#[test]
fn raw_json_is_read_whole_whatever_signs_are_in_it() {
    let smuggled = r#"{"id":"a_b","data":"&id=X_Y&data=Z"}="#;
    assert_eq!(
        form(smuggled),
        Ok(("a_b".into(), r#""&id=X_Y&data=Z""#.into()))
    );
    assert_eq!(
        form(r#"{"id":"a_b","data":"1+1%41"}"#),
        Ok(("a_b".into(), r#""1 1A""#.into()))
    );
    let literal = Posted::read(
        Shape::Form { literal: true },
        br#"{"id":"a_b","data":"1+1%41"}="#,
    );
    assert_eq!(
        literal.map(|posted| posted.data),
        Ok(Some(br#""1+1%41""#.to_vec()))
    );
    assert_eq!(form("%7bbroken"), Err(BadPost::Json));
}

#[test]
fn what_javascript_takes_for_false_says_nothing() {
    for data in ["null", "false", "0", "-0.000", "0.0e17", "0E-1", r#""""#] {
        assert!(says_nothing(data.as_bytes()), "{data}");
    }
    for data in ["[]", "{}", r#""0""#, "0.1", "10", "true", r#"" ""#] {
        assert!(!says_nothing(data.as_bytes()), "{data}");
    }
}

#[test]
fn an_object_with_one_key_may_hold_the_whole_post_in_it() {
    let json = |body: &str| Posted::read(Shape::Json, body.as_bytes()).map(|posted| posted.id);
    assert_eq!(
        json(r#"{"{\"id\":\"a_b\",\"data\":1}":""}"#),
        Ok("a_b".into())
    );
    assert_eq!(
        json(r#"{"{\"id\":\"a_b\"}":"","id":"c_d"}"#),
        Ok("c_d".into())
    );
    assert_eq!(json("[]"), Err(BadPost::Json));
}
