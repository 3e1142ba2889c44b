//! The message in FCM's words, and the frame into which each device's target is spliced.
//!
//! Field names as in Google's discovery document `fcm.v1`; which of them is used when is `docs/providers.md` §4.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Serialize;

use crate::domain::device::FcmTarget;
use crate::domain::message::{PushMessage, Style};
use crate::push::error::FrameError;
use crate::push::payload::{Common, Whole};
use crate::push::transport::Body;
use crate::push::{LONGEST, Left};

/// Keys and values of a message may take this many bytes.
const LIMIT: usize = 4096;
const DAY: u32 = 86_400;

/// What the installation decides about emergencies.
#[derive(Clone, Copy)]
pub(super) struct Options {
    pub(super) emergency_as_notification: bool,
    pub(super) emergency_by_satellite: bool,
}

/// A message ready for every FCM device: all of the body that follows the target.
#[derive(Clone, Debug)]
pub struct FcmFrame {
    tail: Bytes,
}

#[derive(Serialize)]
struct Message<'m> {
    data: Data<'m>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<Notification<'m>>,
    android: Android<'m>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'m> {
    /// The app shows it: title and body are data too.
    Whole(Whole<'m>),
    /// Android shows the notification; the app needs the rest.
    Common(Common<'m>),
}

#[derive(Serialize)]
struct Notification<'m> {
    title: &'m str,
    body: &'m str,
}

#[derive(Serialize)]
struct Android<'m> {
    priority: &'static str,
    ttl: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    direct_boot_ok: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bandwidth_constrained_ok: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restricted_satellite_ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<AndroidNotification<'m>>,
}

#[derive(Default, Serialize)]
struct AndroidNotification<'m> {
    channel_id: &'static str,
    tag: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_priority: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default_sound: bool,
}

impl FcmFrame {
    pub(super) fn build(
        message: &PushMessage,
        left: Left,
        options: Options,
    ) -> Result<Self, FrameError> {
        let wire = Message::of(message, left, options);
        // Unwrap safety: the types above hold nothing but strings and booleans under fixed names.
        let json = serde_json::to_string(&wire).expect("strings and booleans are JSON");
        if json.len() > LIMIT {
            return Err(FrameError::TooLarge { bytes: json.len(), limit: LIMIT });
        }
        // the target comes first, so the object's opening brace becomes the comma after it
        let tail = format!("\",{}}}", json.strip_prefix('{').unwrap_or(&json));
        Ok(Self { tail: tail.into() })
    }

    /// The request's body for one device.
    pub fn body_for(&self, target: &FcmTarget) -> Body {
        let (head, value) = match target {
            FcmTarget::Token(token) => (&br#"{"message":{"token":""#[..], token),
            FcmTarget::Fid(fid) => (&br#"{"message":{"fid":""#[..], fid),
        };
        let mut own = BytesMut::with_capacity(head.len() + value.len());
        own.put_slice(head);
        splice(&mut own, value);
        Body::of(own.freeze(), self.tail.clone())
    }
}

/// Does this byte stand in a JSON string as it is? All that tokens are made of do.
fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

/// A target's characters inside a JSON string. Real ones need no escape; whatever else was registered must not break out.
fn splice(body: &mut BytesMut, value: &str) {
    // To the end, whatever it finds, so that the compiler looks at many bytes at once.
    if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        body.put_slice(value.as_bytes());
    } else {
        let quoted = serde_json::Value::from(value).to_string();
        body.put_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
    }
}

impl<'m> Message<'m> {
    fn of(message: &'m PushMessage, left: Left, options: Options) -> Self {
        match message.style {
            Style::Emergency if options.emergency_as_notification => Self::shown_by_android(
                message,
                android_emergency(left, options),
                AndroidNotification {
                    notification_priority: Some("PRIORITY_MAX"),
                    visibility: Some("PUBLIC"),
                    default_sound: true,
                    ..notification("emergency", message)
                },
            ),
            Style::Calm if options.emergency_as_notification => Self::shown_by_android(
                message,
                android_emergency(left, options),
                notification("warning", message),
            ),
            // Data only: a notification message is collapsible, and the next ordinary one would displace it on a phone that is off. And
            // what ends an alarm must reach the app's own code, by whose hand the alarm rings.
            Style::Emergency | Style::Calm => Self {
                data: Data::Whole(Whole::of(message)),
                notification: None,
                android: android_emergency(left, options),
            },
            Style::Warning { .. } => Self::shown_by_android(
                message,
                android("HIGH", left, LONGEST),
                notification("warning", message),
            ),
            Style::Announcement => Self::shown_by_android(
                message,
                android("NORMAL", left, DAY),
                AndroidNotification {
                    notification_priority: Some("PRIORITY_LOW"),
                    visibility: Some("PUBLIC"),
                    ..notification("news", message)
                },
            ),
            Style::Personal { action_needed } => {
                let priority = if action_needed { "HIGH" } else { "NORMAL" };
                Self::shown_by_android(
                    message,
                    android(priority, left, 3 * DAY),
                    AndroidNotification {
                        visibility: Some("PRIVATE"),
                        ..notification("personal", message)
                    },
                )
            }
        }
    }

    fn shown_by_android(
        message: &'m PushMessage,
        android: Android<'m>,
        notification: AndroidNotification<'m>,
    ) -> Self {
        Self {
            data: Data::Common(Common::of(message)),
            notification: Some(Notification { title: &message.title, body: &message.body }),
            android: Android { notification: Some(notification), ..android },
        }
    }
}

fn android<'m>(priority: &'static str, left: Left, cap: u32) -> Android<'m> {
    Android {
        priority,
        ttl: format!("{}s", left.capped(cap)),
        direct_boot_ok: false,
        bandwidth_constrained_ok: false,
        restricted_satellite_ok: false,
        notification: None,
    }
}

fn android_emergency<'m>(left: Left, options: Options) -> Android<'m> {
    Android {
        // a phone that was restarted at night and not yet unlocked must ring too
        direct_boot_ok: true,
        bandwidth_constrained_ok: options.emergency_by_satellite,
        restricted_satellite_ok: options.emergency_by_satellite,
        ..android("HIGH", left, LONGEST)
    }
}

fn notification<'m>(channel_id: &'static str, message: &'m PushMessage) -> AndroidNotification<'m> {
    AndroidNotification {
        channel_id,
        tag: message.collapse.as_str(),
        ..AndroidNotification::default()
    }
}
