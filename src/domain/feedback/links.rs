//! Where the text of an event may lead to. A sender's text reaches people with the province's name above it: a link in it goes to a host that
//! the province has named, or the text is refused.

/// The hosts that texts may name, as `caobang.gov.vn`; `*.` in front admits every host below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// These hosts, in lower case.
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self(hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    /// Is it one of them?
    pub fn allow(&self, host: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => host
                .strip_suffix(parent)
                .and_then(|below| below.strip_suffix('.'))
                .is_some_and(|below| !below.is_empty()),
            None => host == pattern,
        })
    }

    /// Is it an https address at one of them, without a user and at the usual port?
    pub fn allow_url(&self, url: &str) -> bool {
        url::Url::parse(url).is_ok_and(|url| {
            url.scheme() == "https"
                && url.username().is_empty()
                && url.password().is_none()
                && url.port().is_none()
                && url.host_str().is_some_and(|host| self.allow(host))
        })
    }

    /// The first word of a text that phones would make a link of, and that leads elsewhere.
    pub fn stranger<'a>(&self, text: &'a str) -> Option<&'a str> {
        words(text).find(|word| looks_like_link(word) && !self.leads_home(word))
    }

    fn leads_home(&self, word: &str) -> bool {
        let has_scheme = word.contains("://");
        self.allow_url(word) || (!has_scheme && self.allow_url(&format!("https://{word}")))
    }
}

/// What stands between spaces, without the punctuation of the sentence around it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_around = |c: char| !(c.is_alphanumeric() || c == '/');
    text.split(char::is_whitespace).map(move |word| word.trim_matches(is_around))
}

/// A scheme, `www.`, or a name with a known look of a host: letters after the last dot, and nothing but a host's letters before the path.
fn looks_like_link(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    if lower.contains("://") || lower.starts_with("www.") {
        return true;
    }
    // Schemes that need no slashes.
    if ["javascript:", "data:", "tel:", "sms:", "mailto:", "intent:"]
        .iter()
        .any(|s| lower.starts_with(s))
    {
        return true;
    }
    let (host, has_path) = match lower.split_once('/') {
        Some((host, _)) => (host, true),
        None => (lower.as_str(), false),
    };
    let is_host = host.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    });
    let Some((before, top)) = host.rsplit_once('.') else { return false };
    let is_top = top.len() >= 2 && top.bytes().all(|b| b.is_ascii_alphabetic());
    // *TP.HCM* and *Q.Ba* are no hosts; `bit.ly/x` and `caobang.gov.vn` are.
    let is_written_as_host = has_path || before.contains('.') || word == lower;
    is_host && is_top && is_written_as_host
}
