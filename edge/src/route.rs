//! Which call a path and a method mean. A table, and its search.

use http::{HeaderValue, Method};
use streamio_events::event::Scope;

/// One call of the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    /// The method. Where it is GET, HEAD is answered too.
    pub method: Method,
    /// The path; a segment in braces stands for any one segment.
    pub path: &'static str,
    /// The scope that an API key needs for it; `None` where no key is needed.
    pub scope: Option<Scope>,
    pub(crate) action: Action,
}

/// What answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    GrantUpload,
    GrantPlayback,
    ListVideos,
    ShowVideo,
    ListVideoEvents,
    DeleteVideo,
    ReprocessVideo,
    ListEvents,
    ShowOpenApi,
    ShowHealth,
    ExplainProblem,
}

const fn call(method: Method, path: &'static str, scope: Option<Scope>, action: Action) -> Call {
    Call { method, path, scope, action }
}

/// All calls.
pub static CALLS: [Call; 11] = [
    call(Method::POST, "/upload-url", Some(Scope::Upload), Action::GrantUpload),
    call(Method::POST, "/playback-url", Some(Scope::Playback), Action::GrantPlayback),
    call(Method::GET, "/videos", Some(Scope::Read), Action::ListVideos),
    call(Method::GET, "/videos/{id}", Some(Scope::Read), Action::ShowVideo),
    call(Method::DELETE, "/videos/{id}", Some(Scope::Admin), Action::DeleteVideo),
    call(Method::GET, "/videos/{id}/events", Some(Scope::Read), Action::ListVideoEvents),
    call(Method::POST, "/videos/{id}/reprocess", Some(Scope::Admin), Action::ReprocessVideo),
    call(Method::GET, "/events", Some(Scope::Read), Action::ListEvents),
    call(Method::GET, "/openapi.json", None, Action::ShowOpenApi),
    call(Method::GET, "/healthz", None, Action::ShowHealth),
    call(Method::GET, "/problems/{slug}", None, Action::ExplainProblem),
];

/// What a path and a method mean.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A call, and what stands in the place of the braces, not decoded (empty where there are none).
    Call(&'static Call, &'a str),
    /// OPTIONS on a path that has these methods.
    Options(HeaderValue),
    /// A path that has only these methods.
    OtherMethods(HeaderValue),
    /// No such path.
    Nothing,
}

pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let here = || CALLS.iter().filter_map(|call| Some((call, matched(call.path, path)?)));
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    if let Some((call, parameter)) = here().find(|(call, _)| call.method == wanted) {
        return Found::Call(call, parameter);
    }
    if here().next().is_none() {
        return Found::Nothing;
    }
    let allow = allow(here().map(|(call, _)| &call.method));
    if method == Method::OPTIONS { Found::Options(allow) } else { Found::OtherMethods(allow) }
}

/// What stands in the place of the braces of `template` in `path`.
fn matched<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let mut parameter = "";
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') && !segment.is_empty() {
            parameter = segment;
        } else if expected != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(parameter)
}

fn allow<'a>(methods: impl Iterator<Item = &'a Method>) -> HeaderValue {
    let mut names: Vec<&str> = Vec::new();
    for method in methods {
        names.push(method.as_str());
        if method == Method::GET {
            names.push("HEAD");
        }
    }
    names.push("OPTIONS");
    HeaderValue::from_str(&names.join(", ")).expect("method names are plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn action(method: &str, path: &str) -> Option<(Action, String)> {
        match find(&method.parse().unwrap(), path) {
            Found::Call(call, parameter) => Some((call.action, parameter.to_owned())),
            _ => None,
        }
    }

    #[test]
    fn a_path_and_a_method_mean_one_call() {
        assert_eq!(action("GET", "/videos"), Some((Action::ListVideos, String::new())));
        assert_eq!(action("HEAD", "/videos/x"), Some((Action::ShowVideo, "x".to_owned())));
        assert_eq!(action("DELETE", "/videos/x"), Some((Action::DeleteVideo, "x".to_owned())));
        assert_eq!(action("GET", "/videos/x/events"), Some((Action::ListVideoEvents, "x".to_owned())));
        for path in [
            "",
            "/",
            "videos",
            "/videos/",
            "//videos",
            "/videos//events",
            "/videos/x/",
            "/Videos",
            "/videos/x/y",
        ] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path:?}");
        }
    }

    #[test]
    fn other_methods_are_told_what_there_is() {
        assert_eq!(
            find(&Method::PUT, "/videos/x"),
            Found::OtherMethods("GET, HEAD, DELETE, OPTIONS".parse().unwrap())
        );
        assert_eq!(find(&Method::HEAD, "/upload-url"), Found::OtherMethods("POST, OPTIONS".parse().unwrap()));
        assert_eq!(find(&Method::OPTIONS, "/upload-url"), Found::Options("POST, OPTIONS".parse().unwrap()));
        assert_eq!(find(&Method::OPTIONS, "/nothing"), Found::Nothing);
    }

    proptest! {
        #[test]
        fn any_path_is_searched_without_a_panic(path in ".*|(/(videos|events|\\{id\\}|))*") {
            let _ = find(&Method::GET, &path);
        }
    }
}
