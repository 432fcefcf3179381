//! Validation of every response in these tests against `openapi.yaml`.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use http::Method;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use streamio_edge::route::CALLS;

use crate::answer::Answer;

/// The description as written.
pub(crate) static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_norway::from_str(include_str!("../../openapi.yaml")).unwrap());

/// The description with `additionalProperties: false` for every object that lists its properties: a response may have only
/// listed properties.
static STRICT: LazyLock<Value> = LazyLock::new(|| strict(&DESCRIPTION));

fn strict(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut object: Map<String, Value> =
                object.iter().map(|(name, value)| (name.clone(), strict(value))).collect();
            if object.get("properties").is_some_and(Value::is_object)
                && !object.contains_key("additionalProperties")
            {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            Value::Object(object)
        }
        Value::Array(items) => items.iter().map(strict).collect(),
        other => other.clone(),
    }
}

/// The target of a `$ref`, or the value itself.
pub(crate) fn resolve<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("references are within the description");
            description.pointer(pointer).unwrap_or_else(|| panic!("{reference} has no target"))
        }
        None => value,
    }
}

/// All violations of `schema`, a part of the description, by `instance`.
pub(crate) fn mistakes(schema: &'static Value, instance: &Value) -> Vec<String> {
    /// By the schemas' addresses: many responses have few schemas.
    static VALIDATORS: LazyLock<Mutex<HashMap<usize, &'static Validator>>> = LazyLock::new(Mutex::default);
    let address = std::ptr::from_ref(schema).addr();
    let validator = *VALIDATORS.lock().unwrap().entry(address).or_insert_with(|| {
        let whole = json!({ "allOf": [strict(schema)], "components": STRICT["components"] });
        Box::leak(Box::new(jsonschema::options().should_validate_formats(true).build(&whole).unwrap()))
    });
    validator.iter_errors(instance).map(|error| format!("{} at {}", error, error.instance_path())).collect()
}

/// The operation that describes a method and a path.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let segments: Vec<&str> = path.split('/').collect();
    let call = CALLS.iter().find(|call| {
        if let Some(start) = call.path.strip_suffix("{key}") {
            return call.method == method && path.len() > start.len() && path.starts_with(start);
        }
        let expected: Vec<&str> = call.path.split('/').collect();
        call.method == method
            && expected.len() == segments.len()
            && expected.iter().zip(&segments).all(|(expected, segment)| {
                expected == segment || expected.starts_with('{') && !segment.is_empty()
            })
    })?;
    Some(&DESCRIPTION["paths"][call.path][call.method.as_str().to_ascii_lowercase()])
}

/// Panics unless the response to the request is described.
pub(crate) fn assert_described(method: &Method, path: &str, answer: &Answer) {
    let shown = || format!("{method} {path}: {answer:?}");
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "no request id: {}", shown());
    let Some(operation) = operation(method, path) else {
        return assert_no_call(method, answer, &shown());
    };
    let described = &operation["responses"][answer.status.as_str()];
    assert!(!described.is_null(), "status {} is not described: {}", answer.status, shown());
    let described = resolve(&DESCRIPTION, described);
    for (name, header) in described["headers"].as_object().expect("every response has headers") {
        let header = resolve(&DESCRIPTION, header);
        let value = answer.header(&name.to_ascii_lowercase());
        assert!(value.is_some() || header["required"] != true, "no {name}: {}", shown());
        if let Some(value) = value {
            let integer = value.parse::<i64>().ok().filter(|_| header["schema"]["type"] == "integer");
            let wrong = mistakes(&header["schema"], &integer.map_or(Value::from(value), Value::from));
            assert!(wrong.is_empty(), "{name}: {wrong:?}: {}", shown());
        }
    }
    if described["content"].is_null() {
        assert!(answer.body.is_empty(), "a body is not described: {}", shown());
        return;
    }
    let content_type = answer.header("content-type").unwrap_or_default();
    let content = &described["content"][content_type];
    assert!(!content.is_null(), "content type {content_type} is not described: {}", shown());
    if method == Method::HEAD {
        assert!(answer.body.is_empty(), "a response to HEAD has a body: {}", shown());
    } else {
        let is_json = content_type.ends_with("json");
        let body = if is_json { answer.json() } else { String::from_utf8_lossy(&answer.body).into() };
        let wrong = mistakes(&content["schema"], &body);
        assert!(wrong.is_empty(), "{wrong:?}: {}", shown());
    }
}

/// Checks the response to a request that is no call: a preflight or a problem.
fn assert_no_call(method: &Method, answer: &Answer, shown: &str) {
    if method == Method::OPTIONS && answer.status == 204 {
        assert!(answer.body.is_empty() && answer.header("allow").is_some(), "{shown}");
        return;
    }
    assert!(matches!(answer.status.as_u16(), 404 | 405 | 414), "{shown}");
    if method != Method::HEAD {
        let wrong = mistakes(&DESCRIPTION["components"]["schemas"]["Problem"], &answer.json());
        assert!(wrong.is_empty(), "{wrong:?}: {shown}");
    }
}
