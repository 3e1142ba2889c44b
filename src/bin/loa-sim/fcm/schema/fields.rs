//! The fields of `SendMessageRequest` and everything in it, from the discovery document `fcm.v1` revision 20261023.

use super::walk::{Field, Kind};
use Kind::{
    Bool, Colour, Duration, Enumeration, Integer, List, Map, Number, Object, Struct, Text,
    Timestamp,
};

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

/// `SendMessageRequest`.
pub const REQUEST: &[Field] = &[field("validate_only", Bool), field("message", Object(MESSAGE))];

const MESSAGE: &[Field] = &[
    field("name", Text),
    field("token", Text),
    field("fid", Text),
    field("topic", Text),
    field("condition", Text),
    field("data", Map),
    field("notification", Object(NOTIFICATION)),
    field("android", Object(ANDROID)),
    field("android_v2", Object(ANDROID)),
    field("apns", Object(APNS)),
    field("webpush", Object(WEBPUSH)),
    field("fcm_options", Object(OPTIONS)),
];

const NOTIFICATION: &[Field] = &[field("title", Text), field("body", Text), field("image", Text)];

const OPTIONS: &[Field] = &[field("analytics_label", Text)];

const ANDROID: &[Field] = &[
    field("collapse_key", Text),
    field("priority", Enumeration(&["NORMAL", "HIGH", "normal", "high"])),
    field("ttl", Duration),
    field("restricted_package_name", Text),
    field("data", Map),
    field("notification", Object(ANDROID_NOTIFICATION)),
    field("fcm_options", Object(OPTIONS)),
    field("direct_boot_ok", Bool),
    field("bandwidth_constrained_ok", Bool),
    field("restricted_satellite_ok", Bool),
];

const ANDROID_NOTIFICATION: &[Field] = &[
    field("title", Text),
    field("body", Text),
    field("icon", Text),
    field("color", Text),
    field("sound", Text),
    field("tag", Text),
    field("click_action", Text),
    field("body_loc_key", Text),
    field("body_loc_args", List(&Text)),
    field("title_loc_key", Text),
    field("title_loc_args", List(&Text)),
    field("channel_id", Text),
    field("ticker", Text),
    field("sticky", Bool),
    field("event_time", Timestamp),
    field("local_only", Bool),
    field(
        "notification_priority",
        Enumeration(&[
            "PRIORITY_UNSPECIFIED",
            "PRIORITY_MIN",
            "PRIORITY_LOW",
            "PRIORITY_DEFAULT",
            "PRIORITY_HIGH",
            "PRIORITY_MAX",
        ]),
    ),
    field("default_sound", Bool),
    field("default_vibrate_timings", Bool),
    field("default_light_settings", Bool),
    field("vibrate_timings", List(&Duration)),
    field("visibility", Enumeration(&["VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"])),
    field("notification_count", Integer),
    field("light_settings", Object(LIGHT)),
    field("image", Text),
    field("bypass_proxy_notification", Bool),
    field("proxy", Enumeration(&["PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"])),
];

const LIGHT: &[Field] = &[
    field("color", Colour),
    field("light_on_duration", Duration),
    field("light_off_duration", Duration),
];

const APNS: &[Field] = &[
    field("headers", Map),
    field("payload", Struct),
    field("live_activity_token", Text),
    field("fcm_options", Object(&[field("analytics_label", Text), field("image", Text)])),
];

const WEBPUSH: &[Field] = &[
    field("headers", Map),
    field("data", Map),
    field("notification", Struct),
    field("fcm_options", Object(&[field("link", Text), field("analytics_label", Text)])),
];

/// `google.type.Color`.
pub const COLOUR: &[Field] =
    &[field("red", Number), field("green", Number), field("blue", Number), field("alpha", Number)];
