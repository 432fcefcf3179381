use http::StatusCode;

macro_rules! problem_kinds {
    ($($variant:ident $status:ident $slug:literal $title:literal $advice:literal)*) => {
        /// The kinds of error. Clients distinguish them by `type`, which is `/problems/{slug}` and never changes. A GET of
        /// that path explains it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemKind {
            $(
                #[doc = $title]
                #[doc = ""]
                #[doc = $advice]
                $variant,
            )*
        }

        impl ProblemKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The last part of `type`.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// What happened; the same for all problems of this kind.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What the client should do.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

problem_kinds! {
    MalformedJson BAD_REQUEST "malformed-json" "The body is not a JSON object"
        "Send one JSON object in UTF-8, each name once."
    InvalidParameter BAD_REQUEST "invalid-parameter" "A parameter or header is invalid"
        "Correct what `errors` names: a parameter of the path or the query, or a header."
    MissingApiKey UNAUTHORIZED "missing-api-key" "The API key is missing"
        "Send your API key in the header `x-api-key`, or as `Authorization: Bearer` and the key."
    MalformedApiKey UNAUTHORIZED "malformed-api-key" "The API key is malformed"
        "Send the whole key in one header: `sio_`, the environment, `_`, 43 letters and digits, `_`, and 6 more."
    MistypedApiKey UNAUTHORIZED "mistyped-api-key" "The API key's checksum is wrong"
        "A character was changed or lost. Copy the key again."
    UnknownApiKey UNAUTHORIZED "unknown-api-key" "The API key is unknown"
        "Check that the key belongs to this environment, or request a new one."
    ExpiredApiKey UNAUTHORIZED "expired-api-key" "The API key has expired"
        "Request a new key."
    RevokedApiKey UNAUTHORIZED "revoked-api-key" "The API key was revoked"
        "Request a new key."
    SuspendedProject FORBIDDEN "suspended-project" "The project is suspended"
        "Contact the operator of this service."
    MissingScope FORBIDDEN "missing-scope" "The API key may not do this"
        "Use a key with the scope that `detail` names."
    ForbiddenKey FORBIDDEN "forbidden-key" "The object key belongs to another project"
        "Request only keys that begin with `processed/{project_id}/` of your own project."
    LimitExceeded FORBIDDEN "limit-exceeded" "The upload exceeds a limit of the project"
        "See `detail` for the limit, what is used of it, and what to do. `GET /usage` shows all limits. After a change, this may last for some minutes."
    PlaybackRefused FORBIDDEN "playback-refused" "The signature does not permit playback"
        "See `errors` for the parameter at fault and the reason, and request a new URL with `POST /playback-url`."
    NoSuchPath NOT_FOUND "no-such-path" "The path does not exist"
        "See `/openapi.json` for all paths."
    NoSuchVideo NOT_FOUND "no-such-video" "The project has no such video"
        "Check the id. A new video may take a moment to appear."
    NoSuchWebhook NOT_FOUND "no-such-webhook" "The project has no such webhook or delivery"
        "Check the id. `GET /webhooks` lists all webhooks, and `GET /webhook-deliveries` all deliveries."
    NoSuchTile NOT_FOUND "no-such-tile" "The tree has no such tile"
        "Ask for the tiles of the checkpoint's size. A partial tile is removed when it is full: ask for the full one."
    NoSuchPlaylist NOT_FOUND "no-such-playlist" "The playlist does not exist"
        "Check that the video is ready and was not deleted."
    MethodNotAllowed METHOD_NOT_ALLOWED "method-not-allowed" "The path does not have this method"
        "Use one of the methods in `Allow`."
    VideoConflict CONFLICT "video-conflict" "The video's state does not allow this"
        "See `detail` for the reason."
    WebhookConflict CONFLICT "webhook-conflict" "The webhook's state does not allow this"
        "See `detail` for the reason."
    NoAuditLog CONFLICT "no-audit-log" "There is no checkpoint or no audit log yet"
        "See `detail` for the reason."
    BodyTooLarge PAYLOAD_TOO_LARGE "body-too-large" "The body is too large"
        "Send at most 64 KiB. Files go to the upload URL, not to the API."
    UriTooLong URI_TOO_LONG "uri-too-long" "The path and query are too long"
        "Send at most 8 KiB."
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The body is not declared as JSON"
        "Send `content-type: application/json`."
    InvalidBody UNPROCESSABLE_ENTITY "invalid-body" "The body's fields are invalid"
        "Correct what `errors` names."
    ReusedIdempotencyKey UNPROCESSABLE_ENTITY "reused-idempotency-key" "The Idempotency-Key belongs to another request"
        "The same key was sent before with different parameters or fields. Send a new key for each new request."
    RateLimited TOO_MANY_REQUESTS "rate-limited" "Too many requests"
        "Wait for the number of seconds in `Retry-After`."
    InternalError INTERNAL_SERVER_ERROR "internal-error" "The service failed"
        "Report the `requestId` to the operator of this service."
    InvalidPlaylist BAD_GATEWAY "invalid-playlist" "The CDN's file is not a usable playlist"
        "Report the `requestId` to the operator of this service."
    Unavailable SERVICE_UNAVAILABLE "unavailable" "The service is temporarily unavailable"
        "Try again after the number of seconds in `Retry-After`. With the same Idempotency-Key nothing is done twice."
}

impl ProblemKind {
    /// The `type`: a URI reference relative to the API's base URL.
    pub fn uri(self) -> String {
        format!("/problems/{}", self.slug())
    }
}
