use std::collections::BTreeSet;
use std::fmt::Write as _;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use streamio_edge::problem::ProblemKind;
use streamio_edge::route::CALLS;
use streamio_events::event::Scope;

use crate::answer::Answer;
use crate::description::{DESCRIPTION, mistakes, resolve};
use crate::test_edge::TestEdge;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Every operation: its method, path template and description.
fn operations() -> Vec<(Method, &'static str, &'static Value)> {
    let mut operations = Vec::new();
    for (path, item) in DESCRIPTION["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                operations.push((method.to_ascii_uppercase().parse().unwrap(), path.as_str(), operation));
            }
        }
    }
    operations
}

fn parameters(path: &str, operation: &'static Value) -> Vec<&'static Value> {
    let of_path = DESCRIPTION["paths"][path]["parameters"].as_array().into_iter().flatten();
    let of_operation = operation["parameters"].as_array().into_iter().flatten();
    of_path.chain(of_operation).map(|parameter| resolve(&DESCRIPTION, parameter)).collect()
}

#[test]
fn every_call_is_described_and_every_description_is_a_call() {
    let described: BTreeSet<_> =
        operations().iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let existing: BTreeSet<_> = CALLS.iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    assert_eq!(described, existing);
}

#[test]
fn every_problem_type_is_described_and_the_reverse() {
    let described: BTreeSet<&str> = DESCRIPTION["components"]["schemas"]["ProblemType"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let existing: BTreeSet<String> = ProblemKind::ALL.iter().map(|kind| kind.uri()).collect();
    assert_eq!(described, existing.iter().map(String::as_str).collect());
}

#[test]
fn every_description_states_the_scope_of_the_call() {
    for (method, path, operation) in operations() {
        let call = CALLS.iter().find(|call| call.method == method && call.path == path).unwrap();
        let needs = |scope: &str| {
            operation["description"]
                .as_str()
                .is_some_and(|text| text.starts_with(&format!("Needs the scope `{scope}`")))
        };
        let is_right = match call.scope() {
            None => operation["security"].as_array().is_some_and(Vec::is_empty),
            Some(Scope::Upload) => needs("upload"),
            Some(Scope::Playback) => needs("playback"),
            Some(Scope::Read) => needs("read"),
            Some(Scope::Admin) => needs("admin"),
        };
        assert!(is_right, "{method} {path}");
    }
}

#[test]
fn every_reference_has_a_target_and_every_component_is_used() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    references(&DESCRIPTION, &mut found);
    for reference in &found {
        assert!(DESCRIPTION.pointer(&reference[1..]).is_some(), "{reference}");
    }
    for (kind, components) in DESCRIPTION["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
            assert!(found.contains(&format!("#/components/{kind}/{name}")), "{kind}/{name} is not used");
        }
    }
}

#[tokio::test]
async fn the_description_is_served_as_written() {
    let answer = TestEdge::new().send_with(&[], Method::GET, "/openapi.json", &Value::Null).await;
    assert_eq!(answer.json(), *DESCRIPTION);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
}

#[tokio::test]
async fn every_problem_type_is_explained_at_its_uri() {
    let test = TestEdge::new();
    for kind in ProblemKind::ALL {
        let explained = test.send_with(&[], Method::GET, &kind.uri(), &Value::Null).await.json();
        assert_eq!(explained["type"], kind.uri());
        assert_eq!(explained["status"], kind.status().as_u16());
    }
}

/// The path and query of an operation's examples.
fn target(path: &str, operation: &'static Value) -> String {
    let mut target = path.to_owned();
    let mut query = String::new();
    for parameter in parameters(path, operation) {
        let Some(example) = parameter.get("example") else { continue };
        let wrong = mistakes(&parameter["schema"], example);
        assert!(wrong.is_empty(), "{path} {}: {wrong:?}", parameter["name"]);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = parameter["name"].as_str().unwrap();
        let mut add = |name: &str, value: &Value| {
            let value = text(value);
            let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
            write!(query, "{}{name}={value}", if query.is_empty() { '?' } else { '&' }).unwrap();
        };
        match (parameter["in"].as_str().unwrap(), example.as_object()) {
            ("path", _) => target = target.replace(&format!("{{{name}}}"), &text(example)),
            // With the style `form` that is exploded, each property is a parameter.
            ("query", Some(properties)) => properties.iter().for_each(|(name, value)| add(name, value)),
            ("query", None) => add(name, example),
            _ => {}
        }
    }
    target + &query
}

/// The status and body of the documented response with this name, or of the only one.
fn documented(operation: &'static Value, name: Option<&str>) -> Option<(&'static str, &'static Value)> {
    operation["responses"].as_object().unwrap().iter().find_map(|(status, response)| {
        let content = resolve(&DESCRIPTION, response)["content"].as_object()?.values().next()?;
        let example = match name {
            Some(name) => &content["examples"][name]["value"],
            None => &content["example"],
        };
        (!example.is_null()).then_some((status.as_str(), example))
    })
}

/// The body of a response: JSON, or text.
fn content(answer: &Answer) -> Value {
    if answer.header("content-type").is_some_and(|it| it.starts_with("text/plain")) {
        return Value::from(str::from_utf8(&answer.body).unwrap());
    }
    answer.json()
}

/// Requests whose responses are documented as `unusable`. They are not in the description, because they violate it.
fn unusable() -> [(Method, &'static str, Value); 4] {
    [
        (Method::POST, "/webhooks", json!({ "types": ["video.redy"] })),
        (Method::POST, "/upload-url", json!({ "filename": "../clip.mp4", "size": "big" })),
        (Method::POST, "/playback-url", json!({ "ttl": 0, "ip": "::1" })),
        (Method::PATCH, "/videos/{id}", json!({ "metadata": { "Title": "Winter", "customer": 4711 } })),
    ]
}

/// Each example request is sent to an API with one video, always at the same time; the response equals the documented one,
/// including signatures.
#[tokio::test]
async fn every_example_gets_the_documented_response() {
    let mut undocumented = Map::new();
    let unusable = unusable();
    for (method, path, operation) in operations() {
        let bodies = operation["requestBody"]["content"]["application/json"]["examples"].as_object();
        let mut requests: Vec<(Option<&str>, &Value)> = match bodies {
            Some(examples) => {
                examples.iter().map(|(name, example)| (Some(name.as_str()), &example["value"])).collect()
            }
            None => vec![(None, &Value::Null)],
        };
        let refused = unusable.iter().find(|(of, at, _)| *of == method && *at == path);
        requests.extend(refused.map(|(_, _, body)| (Some("unusable"), body)));
        for (name, body) in requests {
            if path == "/openapi.json" {
                continue; // Its example would be the whole description.
            }
            let test = TestEdge::new();
            test.ready_video().await;
            let headers = [
                ("x-api-key", test.target.admin.reveal()),
                ("idempotency-key", "7c9e6679-7425-40de-944b-e07fc1f90ae7"),
                ("x-request-id", "trace-1"),
            ];
            let answer = test.send_with(&headers, method.clone(), &target(path, operation), body).await;
            let what = format!("{method} {path} {}", name.unwrap_or("-"));
            if operation["responses"].get("204").is_some() {
                assert_eq!(answer.status, 204, "{what}");
                continue;
            }
            let (status, expected) = documented(operation, name).unwrap_or(("none", &Value::Null));
            let content = content(&answer);
            if answer.status.as_str() != status || content != *expected {
                undocumented.insert(what, content);
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if !body.is_null() && answer.status.is_success() {
                let wrong = mistakes(schema, body);
                assert!(wrong.is_empty(), "{wrong:?}");
            }
        }
    }
    assert!(undocumented.is_empty(), "these have other responses:\n{:#}", Value::from(undocumented));
}
