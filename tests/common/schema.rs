//! Checks JSON values against the schemas of an OpenAPI description: just the keywords that ours uses, and no others.
//!
//! Invariant: a keyword that is not known here fails, so that nothing in a schema is passed over.

use serde_json::Value;

/// Everything that is wrong with `value`, each with its place.
pub fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let schema = match schema["$ref"].as_str() {
        Some(name) => document
            .pointer(&name[1..])
            .unwrap_or_else(|| panic!("{name} is not there")),
        None => schema,
    };
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let good = match keyword.as_str() {
            "type" => names(wanted).iter().any(|kind| is(value, kind)),
            "const" => value == wanted,
            "enum" => wanted.as_array().is_some_and(|list| list.contains(value)),
            "minimum" => value
                .as_f64()
                .is_none_or(|n| n >= wanted.as_f64().expect("a number")),
            "required" => names(wanted)
                .iter()
                .all(|name| value.as_object().is_none_or(|o| o.contains_key(name))),
            "additionalProperties" => {
                let others = value.as_object().into_iter().flatten();
                let mut others =
                    others.filter(|(name, _)| schema["properties"].get(name).is_none());
                match wanted {
                    Value::Object(_) => {
                        others.all(|(_, value)| faults(document, wanted, value, at).is_empty())
                    }
                    _ => others.next().is_none(),
                }
            }
            "properties" => {
                for (name, inner) in wanted.as_object().expect("properties") {
                    if let Some(value) = value.get(name) {
                        found.extend(faults(document, inner, value, &format!("{at}.{name}")));
                    }
                }
                // What is not described is not there.
                value.as_object().is_none_or(|o| {
                    o.keys()
                        .filter(|name| wanted.get(name).is_none())
                        .inspect(|name| found.push(format!("{at}.{name} is not described")))
                        .count()
                        == 0
                })
            }
            "items" => {
                for (n, value) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(document, wanted, value, &format!("{at}[{n}]")));
                }
                true
            }
            "oneOf" => {
                let fits = |schema: &&Value| faults(document, schema, value, at).is_empty();
                wanted
                    .as_array()
                    .expect("a list")
                    .iter()
                    .filter(fits)
                    .count()
                    == 1
            }
            "description" => true,
            other => panic!("the schema keyword {other} is not known here"),
        };
        if !good {
            found.push(format!("{at}: {value} does not fit {keyword} {wanted}"));
        }
    }
    found
}

fn names(wanted: &Value) -> Vec<String> {
    match wanted {
        Value::String(name) => vec![name.clone()],
        _ => wanted
            .as_array()
            .expect("a list")
            .iter()
            .map(|name| name.as_str().expect("a name").to_owned())
            .collect(),
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}
