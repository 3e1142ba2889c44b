//! Problems (RFC 9457), the one shape of every refusal to a program: its kinds, each with its status, its stable name and its words.
//!
//! Which of our errors is which kind is `http::error`'s to say; pages say their refusals in words of their own. The language is chosen
//! last, by `http`'s guard, when the request's `Accept-Language` is at hand: Vietnamese unless English is preferred.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::violation::Violation;
use crate::domain::wording::Tongue;

/// `application/problem+json`
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $status:ident, $slug:literal, $vi:literal, $en:literal;)+) => {
        /// Every kind of problem: its status, its stable name, its title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $variant,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What it means in HTTP.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// Stable name, for programs.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug),+ }
            }

            fn title(self, tongue: Tongue) -> &'static str {
                match (self, tongue) { $((Self::$variant, Tongue::Vi) => $vi, (Self::$variant, Tongue::En) => $en),+ }
            }
        }
    };
}

kinds!(
    /// The body is not JSON.
    MalformedJson = BAD_REQUEST, "malformed-json", "Nội dung gửi lên không phải JSON hợp lệ", "The body is not valid JSON";
    /// A header or the transfer of the body is wrong.
    BadRequest = BAD_REQUEST, "bad-request", "Không đọc được yêu cầu", "The request cannot be read";
    /// No key, or not a valid one.
    Unauthenticated = UNAUTHORIZED, "unauthenticated", "Chưa xác thực", "Not authenticated";
    /// An access token that lets nobody in (RFC 6750 §3.1).
    InvalidToken = UNAUTHORIZED, "invalid-token", "Mã truy cập không hợp lệ", "The access token is not valid";
    /// The role does not include it.
    Forbidden = FORBIDDEN, "forbidden", "Không có quyền thực hiện", "Not allowed";
    /// Invariant 2.
    SamePerson = FORBIDDEN, "same-person", "Người gửi không được tự duyệt", "The person who submitted never approves";
    /// Not there, or not visible.
    NotFound = NOT_FOUND, "not-found", "Không tìm thấy", "Not found";
    /// The path exists, the method does not.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method-not-allowed", "Phương thức không được hỗ trợ", "Method not allowed";
    /// The alert's state does not allow it.
    WrongState = CONFLICT, "wrong-state", "Trạng thái hiện tại không cho phép", "The current state does not allow it";
    /// Two approvals of one person are one.
    AlreadyEndorsed = CONFLICT, "already-endorsed", "Bạn đã duyệt, cần thêm người khác", "You have approved it; it takes another person";
    /// The approver saw other bytes.
    DigestMismatch = CONFLICT, "digest-mismatch", "Nội dung đã khác với nội dung được xem", "The content is not the one that was shown";
    /// What the approver's authenticator signed is not, or no longer, for this decision.
    ChallengeGone = CONFLICT, "challenge-gone", "Yêu cầu ký không còn hiệu lực", "The challenge is gone";
    /// The approver's own seal does not hold.
    SealRefused = FORBIDDEN, "seal-refused", "Chữ ký của người duyệt không hợp lệ", "The approver's seal does not hold";
    /// It ends too soon.
    TooLate = CONFLICT, "too-late", "Sắp hết hoặc đã hết hiệu lực", "It ends too soon, or has ended";
    /// Nothing to execute.
    NoPreparedRecall = CONFLICT, "no-prepared-recall", "Không có nội dung thu hồi soạn sẵn", "No recall was prepared";
    /// Nothing to execute.
    NoPreparedAllClear = CONFLICT, "no-prepared-all-clear", "Không có nội dung báo yên soạn sẵn", "No all-clear was prepared";
    /// Something newer of the same incident.
    Overtaken = CONFLICT, "overtaken", "Đã có tin khác thay thế", "Another alert has taken its place";
    /// A broadcast that has ended, or already is as asked.
    NothingToSteer = CONFLICT, "nothing-to-steer", "Lượt phát đã kết thúc hoặc đã ở trạng thái yêu cầu", "The broadcast has ended, or already is as asked";
    /// The person's secret or an address is taken.
    Conflict = CONFLICT, "conflict", "Xung đột với dữ liệu hiện có", "In conflict with what is there";
    /// Larger than the limit.
    TooLarge = PAYLOAD_TOO_LARGE, "too-large", "Dữ liệu gửi lên quá lớn", "Too large";
    /// Not the type we take.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Loại dữ liệu không được hỗ trợ", "Unsupported media type";
    /// Rules were broken.
    Invalid = UNPROCESSABLE_ENTITY, "invalid", "Dữ liệu chưa đúng quy định", "Rules are broken";
    /// The key belongs to another request.
    KeyReused = UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Khóa chống gửi trùng đã dùng cho yêu cầu khác", "The idempotency key was used for another request";
    /// Too often.
    TooManyRequests = TOO_MANY_REQUESTS, "too-many-requests", "Quá nhiều yêu cầu", "Too many requests";
    /// A defect of ours.
    Internal = INTERNAL_SERVER_ERROR, "internal", "Lỗi nội bộ", "Internal error";
    /// No key to seal with, or one that not every dispatcher trusts.
    CannotSeal = SERVICE_UNAVAILABLE, "cannot-seal", "Chưa thể ký duyệt", "Approvals cannot be sealed now";
    /// The database is away.
    Unavailable = SERVICE_UNAVAILABLE, "unavailable", "Hệ thống tạm thời gián đoạn", "Temporarily unavailable";
    /// It took too long.
    TimedOut = GATEWAY_TIMEOUT, "timed-out", "Quá thời gian xử lý", "It took too long";
);

/// Words in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Said {
    /// Both at once.
    pub fn new(vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self { vi: vi.into(), en: en.into() }
    }

    /// In one language.
    pub fn said(&self, tongue: Tongue) -> &str {
        match tongue {
            Tongue::Vi => &self.vi,
            Tongue::En => &self.en,
        }
    }
}

/// A refusal on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: Option<Said>,
    violations: Vec<Violation>,
    retry_after: Option<u32>,
}

/// A problem as clients read it (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Names the kind: `urn:loa:problem:…`.
    #[serde(rename = "type")]
    #[schema(example = "urn:loa:problem:invalid")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// Repeats the HTTP status.
    pub status: u16,
    /// What is wrong this time, and the way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Every broken rule, so that all are mended in one go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<ViolationBody>,
}

/// One broken rule.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ViolationBody {
    /// Path of the field.
    #[schema(example = "texts.vi.headline")]
    pub field: String,
    /// Stable name of the rule.
    #[schema(example = "too_long")]
    pub rule: String,
    /// The rule and the way out.
    pub message: String,
}

impl Problem {
    /// A problem without further words.
    pub fn new(kind: Kind) -> Self {
        Self { kind, detail: None, violations: Vec::new(), retry_after: None }
    }

    /// With what is wrong this time.
    #[must_use]
    pub fn because(mut self, vi: impl Into<String>, en: impl Into<String>) -> Self {
        self.detail = Some(Said::new(vi, en));
        self
    }

    /// With the broken rules, each by its field.
    #[must_use]
    pub fn naming(mut self, violations: Vec<Violation>) -> Self {
        self.violations = violations;
        self
    }

    /// Rules were broken.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self::new(Kind::Invalid).naming(violations)
    }

    /// The client may try again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// As clients read it.
    pub fn body(&self, tongue: Tongue) -> ProblemBody {
        let violations = self.violations.iter().map(|violation| ViolationBody {
            field: violation.field.clone(),
            rule: violation.rule.to_owned(),
            message: match tongue {
                Tongue::Vi => violation.vi.clone(),
                Tongue::En => violation.en.clone(),
            },
        });
        ProblemBody {
            kind: format!("urn:loa:problem:{}", self.kind.slug()),
            title: self.kind.title(tongue).to_owned(),
            status: self.kind.status().as_u16(),
            detail: self.detail.as_ref().map(|detail| detail.said(tongue).to_owned()),
            violations: violations.collect(),
        }
    }

    /// The answer in one language. `guard` calls it once more when the reader prefers English.
    pub fn response(&self, tongue: Tongue) -> Response<Body> {
        // Unwrap safety: strings and integers only; those always serialise.
        let body = serde_json::to_vec(&self.body(tongue)).expect("problems serialise");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        let challenge = match self.kind {
            Kind::Unauthenticated => Some("Bearer"),
            Kind::InvalidToken => Some(r#"Bearer error="invalid_token""#),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.response(Tongue::Vi)
    }
}
