//! The body of `messages:send` as far as the simulator checks it.
//!
//! Passive data. Names are taken in both spellings of Google's JSON mapping; an unknown field is refused, as Google does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::simulator::any_object::AnyObject;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    pub(super) message: Message<'a>,
    #[serde(default, rename = "validate_only", alias = "validateOnly")]
    _validate_only: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) token: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) topic: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) condition: Option<IgnoredAny>,
    #[serde(borrow, default)]
    pub(super) notification: Option<Notification<'a>>,
    #[serde(borrow, default)]
    pub(super) data: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) android: Option<Android<'a>>,
    #[serde(default, rename = "apns")]
    _apns: Option<AnyObject>,
    #[serde(default, rename = "webpush")]
    _webpush: Option<AnyObject>,
    #[serde(default, rename = "fcm_options", alias = "fcmOptions")]
    _fcm_options: Option<AnyObject>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notification<'a> {
    #[serde(borrow, default)]
    pub(super) title: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) body: Option<Cow<'a, str>>,
    #[serde(default, rename = "image")]
    _image: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Android<'a> {
    #[serde(borrow, default, alias = "collapseKey")]
    pub(super) collapse_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) priority: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) ttl: Option<Cow<'a, str>>,
    #[serde(default, rename = "notification")]
    _notification: Option<AnyObject>,
    #[serde(default, rename = "data")]
    _data: Option<AnyObject>,
    #[serde(default, rename = "restricted_package_name", alias = "restrictedPackageName")]
    _restricted_package_name: Option<IgnoredAny>,
    #[serde(default, rename = "direct_boot_ok", alias = "directBootOk")]
    _direct_boot_ok: Option<bool>,
    #[serde(default, rename = "fcm_options", alias = "fcmOptions")]
    _fcm_options: Option<AnyObject>,
}
