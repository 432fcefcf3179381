//! The calls of the API, and the lookup of a call by method and path.

use http::{HeaderValue, Method};
use streamio_events::event::Scope;

/// One call of the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    /// The method. GET includes HEAD.
    pub method: Method,
    /// The path; a segment in braces matches any one segment, `{key}` at its end one or more: object keys have slashes.
    pub path: &'static str,
    pub(crate) action: Action,
}

impl Call {
    /// The scope that an API key needs for the call; `None` when no key is needed.
    pub fn scope(&self) -> Option<Scope> {
        match self.action {
            Action::Public(_) | Action::Play => None,
            Action::Tenant(scope, _) => Some(scope),
        }
    }
}

/// What handles a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Needs no API key.
    Public(PublicAction),
    /// A viewer's request for a playlist. Needs no API key: the CDN decides by the signature in the query.
    Play,
    /// Needs an API key with this scope.
    Tenant(Scope, TenantAction),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublicAction {
    ShowOpenApi,
    ShowHealth,
    ExplainProblem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TenantAction {
    GrantUpload,
    GrantPlayback,
    GrantVideoPlayback,
    ListVideos,
    ShowVideo,
    ListVideoEvents,
    UpdateVideo,
    DeleteVideo,
    ReprocessVideo,
    ListEvents,
    ShowUsage,
    CreateWebhook,
    ListWebhooks,
    ShowWebhookPublicKey,
    ShowWebhook,
    UpdateWebhook,
    RemoveWebhook,
    RotateWebhookSecret,
    TestWebhook,
    ListDeliveries,
    ShowDelivery,
    ResendDelivery,
    ShowCheckpoint,
    ShowAuditPublicKey,
    ShowTile,
    ProveVideo,
}

const fn public(method: Method, path: &'static str, action: PublicAction) -> Call {
    Call { method, path, action: Action::Public(action) }
}

const fn tenant(method: Method, path: &'static str, scope: Scope, action: TenantAction) -> Call {
    Call { method, path, action: Action::Tenant(scope, action) }
}

/// All calls.
pub static CALLS: [Call; 30] = [
    tenant(Method::POST, "/upload-url", Scope::Upload, TenantAction::GrantUpload),
    tenant(Method::POST, "/playback-url", Scope::Playback, TenantAction::GrantPlayback),
    tenant(Method::GET, "/videos", Scope::Read, TenantAction::ListVideos),
    tenant(Method::GET, "/videos/{id}", Scope::Read, TenantAction::ShowVideo),
    tenant(Method::PATCH, "/videos/{id}", Scope::Upload, TenantAction::UpdateVideo),
    tenant(Method::DELETE, "/videos/{id}", Scope::Admin, TenantAction::DeleteVideo),
    tenant(Method::GET, "/videos/{id}/events", Scope::Read, TenantAction::ListVideoEvents),
    tenant(Method::POST, "/videos/{id}/playback", Scope::Playback, TenantAction::GrantVideoPlayback),
    tenant(Method::POST, "/videos/{id}/reprocess", Scope::Admin, TenantAction::ReprocessVideo),
    tenant(Method::GET, "/videos/{id}/proof", Scope::Read, TenantAction::ProveVideo),
    tenant(Method::GET, "/events", Scope::Read, TenantAction::ListEvents),
    tenant(Method::GET, "/usage", Scope::Read, TenantAction::ShowUsage),
    tenant(Method::POST, "/webhooks", Scope::Admin, TenantAction::CreateWebhook),
    tenant(Method::GET, "/webhooks", Scope::Read, TenantAction::ListWebhooks),
    tenant(Method::GET, "/webhooks/public-key", Scope::Read, TenantAction::ShowWebhookPublicKey),
    tenant(Method::GET, "/webhooks/{id}", Scope::Read, TenantAction::ShowWebhook),
    tenant(Method::PATCH, "/webhooks/{id}", Scope::Admin, TenantAction::UpdateWebhook),
    tenant(Method::DELETE, "/webhooks/{id}", Scope::Admin, TenantAction::RemoveWebhook),
    tenant(Method::POST, "/webhooks/{id}/rotate-secret", Scope::Admin, TenantAction::RotateWebhookSecret),
    tenant(Method::POST, "/webhooks/{id}/test", Scope::Admin, TenantAction::TestWebhook),
    tenant(Method::GET, "/webhook-deliveries", Scope::Read, TenantAction::ListDeliveries),
    tenant(Method::GET, "/webhook-deliveries/{id}", Scope::Read, TenantAction::ShowDelivery),
    tenant(Method::POST, "/webhook-deliveries/{id}/resend", Scope::Admin, TenantAction::ResendDelivery),
    tenant(Method::GET, "/audit/checkpoint", Scope::Read, TenantAction::ShowCheckpoint),
    tenant(Method::GET, "/audit/public-key", Scope::Read, TenantAction::ShowAuditPublicKey),
    tenant(Method::GET, "/audit/tile/{key}", Scope::Read, TenantAction::ShowTile),
    Call { method: Method::GET, path: "/play/{key}", action: Action::Play },
    public(Method::GET, "/openapi.json", PublicAction::ShowOpenApi),
    public(Method::GET, "/healthz", PublicAction::ShowHealth),
    public(Method::GET, "/problems/{slug}", PublicAction::ExplainProblem),
];

/// The result of a lookup.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A call and the value of its path parameter, not decoded (empty if it has none).
    Call(&'static Call, &'a str),
    /// OPTIONS on a path that has these methods.
    Options(HeaderValue),
    /// The path exists, with these methods only.
    OtherMethods(HeaderValue),
    /// No such path.
    Nothing,
}

pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    // A path that is written out is not also one with a parameter.
    let is_literal = CALLS.iter().any(|call| call.path == path);
    let at_path = || {
        let calls = CALLS.iter().filter(move |call| !is_literal || call.path == path);
        calls.filter_map(|call| Some((call, match_path(call.path, path)?)))
    };
    let requested = if method == Method::HEAD { &Method::GET } else { method };
    if let Some((call, parameter)) = at_path().find(|(call, _)| call.method == requested) {
        return Found::Call(call, parameter);
    }
    if at_path().next().is_none() {
        return Found::Nothing;
    }
    let allow = allow(at_path().map(|(call, _)| &call.method));
    if method == Method::OPTIONS { Found::Options(allow) } else { Found::OtherMethods(allow) }
}

/// The value of the template's parameter in `path` (empty if it has none); `None` if `path` does not match.
fn match_path<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    if let Some(start) = template.strip_suffix("{key}") {
        return path.strip_prefix(start).filter(|key| !key.is_empty());
    }
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

    fn action(method: &str, path: &str) -> Option<(TenantAction, String)> {
        match find(&method.parse().unwrap(), path) {
            Found::Call(Call { action: Action::Tenant(_, action), .. }, parameter) => {
                Some((*action, parameter.to_owned()))
            }
            _ => None,
        }
    }

    #[test]
    fn a_method_and_a_path_identify_one_call() {
        assert_eq!(action("GET", "/videos"), Some((TenantAction::ListVideos, String::new())));
        assert_eq!(action("HEAD", "/videos/x"), Some((TenantAction::ShowVideo, "x".to_owned())));
        assert_eq!(action("DELETE", "/videos/x"), Some((TenantAction::DeleteVideo, "x".to_owned())));
        assert_eq!(action("GET", "/videos/x/events"), Some((TenantAction::ListVideoEvents, "x".to_owned())));
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
    fn an_object_key_at_the_end_of_a_path_has_slashes() {
        let parameter = |path| match find(&Method::HEAD, path) {
            Found::Call(Call { action: Action::Play, .. }, parameter) => Some(parameter),
            _ => None,
        };
        assert_eq!(parameter("/play/processed/acme/a.m3u8"), Some("processed/acme/a.m3u8"));
        assert_eq!(parameter("/play//"), Some("/"));
        for path in ["/play", "/play/", "/plays/a", "/Play/a"] {
            assert_eq!(parameter(path), None, "{path}");
        }
    }

    #[test]
    fn other_methods_get_the_list_of_methods_of_the_path() {
        assert_eq!(
            find(&Method::PUT, "/videos/x"),
            Found::OtherMethods("GET, HEAD, PATCH, DELETE, OPTIONS".parse().unwrap())
        );
        assert_eq!(find(&Method::HEAD, "/upload-url"), Found::OtherMethods("POST, OPTIONS".parse().unwrap()));
        assert_eq!(find(&Method::OPTIONS, "/upload-url"), Found::Options("POST, OPTIONS".parse().unwrap()));
        assert_eq!(find(&Method::OPTIONS, "/nothing"), Found::Nothing);
        assert_eq!(
            find(&Method::DELETE, "/webhooks/public-key"),
            Found::OtherMethods("GET, HEAD, OPTIONS".parse().unwrap())
        );
    }

    proptest! {
        #[test]
        fn any_path_is_looked_up_without_a_panic(path in ".*|(/(videos|events|\\{id\\}|))*") {
            let _ = find(&Method::GET, &path);
        }
    }
}
