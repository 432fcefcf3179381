use serde_json::Value;

/// The name of the first text in `value` that holds `secret`, whether as a name or as a value: `metadata.note`.
pub(super) fn find(value: &Value, secret: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains(secret).then(String::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let rest = find(item, secret)?;
            Some(join(&index.to_string(), &rest))
        }),
        Value::Object(entries) => entries.iter().find_map(|(name, item)| {
            if name.contains(secret) {
                return Some("(a name)".to_owned());
            }
            let rest = find(item, secret)?;
            Some(join(name, &rest))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn join(name: &str, rest: &str) -> String {
    if rest.is_empty() { name.to_owned() } else { format!("{name}.{rest}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_found_wherever_it_is() {
        let found = |value| find(&value, "secret");
        assert_eq!(found(json!({"a": 1, "b": ["x", "y"]})), None);
        assert_eq!(found(json!({"a": {"b": ["x", "a secret b"]}})).as_deref(), Some("a.b.1"));
        assert_eq!(found(json!({"a": {"the secret": 1}})).as_deref(), Some("a.(a name)"));
    }
}
