use serde_json::Value;

/// The path, such as `metadata.note`, of the first member of `value` whose name or text contains `secret`.
pub(super) fn find_secret(value: &Value, secret: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains(secret).then(String::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let rest = find_secret(item, secret)?;
            Some(join(&index.to_string(), &rest))
        }),
        Value::Object(entries) => entries.iter().find_map(|(name, item)| {
            if name.contains(secret) {
                return Some("(a name)".to_owned());
            }
            let rest = find_secret(item, secret)?;
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
    fn a_secret_is_found_in_names_and_texts_at_every_depth() {
        let found = |value| find_secret(&value, "secret");
        assert_eq!(found(json!({"a": 1, "b": ["x", "y"]})), None);
        assert_eq!(found(json!({"a": {"b": ["x", "a secret b"]}})).as_deref(), Some("a.b.1"));
        assert_eq!(found(json!({"a": {"the secret": 1}})).as_deref(), Some("a.(a name)"));
    }
}
