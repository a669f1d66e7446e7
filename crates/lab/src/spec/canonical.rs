//! JSON in one form only: keys sorted, no spaces.

use std::collections::BTreeMap;

use serde_json::Value;

/// The canonical text of a JSON value.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let entries: Vec<_> = sorted.into_iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), text(value))).collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(text).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let a: Value = serde_json::from_str(r#"{"b": [1, {"d": 1.5, "c": null}], "a": "x\"y"}"#).unwrap();
        assert_eq!(text(&a), r#"{"a":"x\"y","b":[1,{"c":null,"d":1.5}]}"#);
    }
}
