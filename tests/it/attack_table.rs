//! What every route answers to whom: written by hand from the table of powers ([`Role::may`]), not from what the code happens to answer.
//!
//! A route without a row makes the matrix fail. One that is added gets its row here, together with the answer to one question: who, of all
//! who can reach this address, has any business with it?

use loa::domain::account::{Power, Role};

use Power as P;

/// What the address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// Nothing, or nothing of anybody's.
    Nothing,
    /// An alert with its document, not submitted.
    Draft,
    /// An alert that waits for a decision.
    Submitted,
    /// A published alert.
    Live,
    /// A published alert's broadcast.
    Broadcast,
    /// The same, paused.
    Paused,
    /// Somebody's account.
    Account,
    /// An API key.
    Key,
    /// A RabbitMQ user that acts as an account.
    BrokerUser,
    /// A client of the issuer of access tokens, linked to an account.
    Client,
    /// A proposal of another administrator, about an account of the agency.
    Proposal,
    /// A session at the console.
    Session,
    /// A phone.
    Phone,
    /// A file of the console.
    File,
}

/// How one gets in.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    /// Anybody does.
    Open,
    /// With an API key of a role that has one of these.
    Key(&'static [Power]),
    /// With a session at the console, in a role that has one of these; with none named, in any role.
    Desk(&'static [Power]),
    /// With the secret of the phone.
    Secret,
    /// With the secret of a phone on which the citizen has signed in, which nobody of the matrix has: who has, is in `inbox`.
    Inbox,
}

/// Whose things are touched from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The own agency's.
    Own,
    /// The own agency's, and every agency's with [`Power::ReadAllAlerts`].
    Seen,
    /// Every agency's.
    Every,
    /// One's own; anything else is answered just like it, and nothing happens.
    Quiet,
}

/// What one route promises.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Method and path, as the router has them.
    pub route: &'static str,
    /// What the path names.
    pub about: About,
    /// Who gets in.
    pub door: Door,
    /// Whose things are touched.
    pub reach: Reach,
    /// The status when it is done.
    pub done: u16,
}

/// Whose the named thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of the caller's own agency; a session: the caller's own.
    Own,
    /// Of another agency; a session: of somebody else.
    Foreign,
    /// There is no such thing.
    Nobodys,
}

/// What a caller holds that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Nothing that opens anything.
    Nothing,
    /// A valid API key of an account in this role.
    Key(Role),
    /// A valid session of an account in this role.
    Session(Role),
}

/// What must come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub status: u16,
    /// Is something in the database another than before?
    pub changes: bool,
}

const fn row(route: &'static str, about: About, door: Door, reach: Reach, done: u16) -> Row {
    Row { route, about, door, reach, done }
}

const READS: Door = Door::Key(&[P::ReadOwnAlerts, P::ReadAllAlerts]);
const WRITES: Door = Door::Key(&[P::WriteAlert]);
const LOOKS: Door = Door::Key(&[P::ReadAllAlerts]);
const DECIDES: Door = Door::Key(&[P::Decide]);
const STEERS: Door = Door::Key(&[P::SteerBroadcast]);
const DESK_READS: Door = Door::Desk(&[P::ReadOwnAlerts, P::ReadAllAlerts]);
const DESK_WRITES: Door = Door::Desk(&[P::WriteAlert]);
const DESK_LOOKS: Door = Door::Desk(&[P::ReadAllAlerts]);
const DESK_DECIDES: Door = Door::Desk(&[P::Decide]);
const DESK_STEERS: Door = Door::Desk(&[P::SteerBroadcast]);
const DESK_OVERSEES: Door = Door::Desk(&[P::Oversee]);
const DESK_MANAGES: Door = Door::Desk(&[P::ManageAccounts]);

/// Every route of `loa serve`.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    // What supervisors and everybody read.
    row("GET /healthz", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /readyz", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /metrics", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /openapi.json", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /public/alerts", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /public/alerts.atom", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /public/alerts/{id}", About::Live, Door::Open, Reach::Every, 200),
    row("GET /public/alerts/{id}/document", About::Live, Door::Open, Reach::Every, 200),
    row("GET /sw.js", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /public/files/subscribe.js", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /public/files/icon.png", About::Nothing, Door::Open, Reach::Every, 200),
    row("GET /public/manifest.webmanifest", About::Nothing, Door::Open, Reach::Every, 200),

    // Agencies.
    row("GET /v1/alerts", About::Nothing, READS, Reach::Seen, 200),
    row("POST /v1/alerts", About::Nothing, WRITES, Reach::Own, 201),
    row("GET /v1/alerts/{id}", About::Draft, READS, Reach::Seen, 200),
    row("PUT /v1/alerts/{id}", About::Draft, WRITES, Reach::Own, 200),
    row("GET /v1/alerts/{id}/document", About::Draft, READS, Reach::Seen, 200),
    row("PUT /v1/alerts/{id}/document", About::Draft, WRITES, Reach::Own, 200),
    row("POST /v1/alerts/{id}/submit", About::Draft, WRITES, Reach::Own, 200),
    // Nothing of the matrix waits for its time; what does, is in `schedule`.
    row("POST /v1/alerts/{id}/cancel", About::Live, WRITES, Reach::Own, 409),

    // The focal unit.
    row("GET /v1/review/alerts", About::Nothing, LOOKS, Reach::Every, 200),
    row("GET /v1/review/alerts/{id}", About::Submitted, LOOKS, Reach::Every, 200),
    row("GET /v1/review/alerts/{id}/document", About::Submitted, LOOKS, Reach::Every, 200),
    row("POST /v1/review/alerts/{id}/challenge", About::Submitted, DECIDES, Reach::Every, 200),
    row("POST /v1/review/alerts/{id}/approve", About::Submitted, DECIDES, Reach::Every, 200),
    row("POST /v1/review/alerts/{id}/return", About::Submitted, DECIDES, Reach::Every, 200),
    row("POST /v1/review/alerts/{id}/reject", About::Submitted, DECIDES, Reach::Every, 200),
    // None was prepared with the matrix's alerts; where one was, is in `api_follow_ups`.
    row("POST /v1/review/alerts/{id}/all-clear", About::Live, Door::Key(&[P::Recall]), Reach::Every, 409),
    row("POST /v1/review/alerts/{id}/cancel", About::Live, Door::Key(&[P::Recall]), Reach::Every, 409),
    row("POST /v1/review/alerts/{id}/recall", About::Live, Door::Key(&[P::Recall]), Reach::Every, 200),

    // The matrix has no template; where there is one, is in `template_use`.
    row("GET /v1/review/templates", About::Nothing, DECIDES, Reach::Every, 200),
    row("POST /v1/review/templates/{id}/fill", About::Submitted, DECIDES, Reach::Every, 409),
    row("GET /v1/review/template-uses", About::Nothing, DECIDES, Reach::Every, 200),
    row("POST /v1/review/alerts/{id}/after-review", About::Live, DECIDES, Reach::Every, 404),

    // Broadcasts. Whoever steers sees every agency's; an agency sees those of its own alerts.
    row("GET /v1/broadcasts/{id}", About::Broadcast, READS, Reach::Seen, 200),
    row("GET /v1/broadcasts/{id}/events", About::Broadcast, READS, Reach::Seen, 200),
    row("POST /v1/broadcasts/{id}/pause", About::Broadcast, STEERS, Reach::Every, 200),
    row("POST /v1/broadcasts/{id}/resume", About::Paused, STEERS, Reach::Every, 204),
    row("POST /v1/broadcasts/{id}/stop", About::Broadcast, STEERS, Reach::Every, 200),

    // Phones and neighbours.
    row("PUT /v1/devices/{installation}", About::Phone, Door::Secret, Reach::Own, 201),
    row("DELETE /v1/devices/{installation}", About::Phone, Door::Secret, Reach::Own, 204),
    row("POST /v1/shown", About::Live, Door::Open, Reach::Every, 204),
    row("GET /v1/inbox", About::Nothing, Door::Inbox, Reach::Own, 200),
    row("GET /v1/inbox/preferences", About::Nothing, Door::Inbox, Reach::Own, 200),
    row("PUT /v1/inbox/preferences", About::Nothing, Door::Inbox, Reach::Own, 204),
    row("GET /v1/inbox/{notice}", About::Phone, Door::Inbox, Reach::Own, 200),
    row("PUT /v1/inbox/{notice}/read", About::Phone, Door::Inbox, Reach::Own, 204),
    row("POST /v1/feedback-events/batch", About::Nothing, Door::Key(&[P::ReportEvents]), Reach::Every, 200),
    row("GET /v1/feedback-events/rejects", About::Nothing, Door::Key(&[P::ReportEvents]), Reach::Every, 200),
    row("POST /v1/feedback-events", About::Nothing, Door::Key(&[P::ReportEvents]), Reach::Every, 202),

    // The console: coming and going. The sign-in form is refused here because it comes from no browser that asked for it.
    row("GET /console/sign-in", About::Nothing, Door::Open, Reach::Every, 200),
    row("POST /console/sign-in", About::Nothing, Door::Open, Reach::Every, 403),
    row("POST /console/sign-in/passkey", About::Nothing, Door::Open, Reach::Every, 403),
    row("POST /console/sign-in/passkey/begin", About::Nothing, Door::Open, Reach::Every, 403),
    row("GET /console/invitation", About::Nothing, Door::Open, Reach::Every, 200),
    row("POST /console/invitation", About::Nothing, Door::Open, Reach::Every, 403),
    // Nobody in the matrix has an authenticator; who has, is in `passkeys`.
    row("GET /console/passkeys", About::Nothing, Door::Desk(&[]), Reach::Every, 200),
    row("POST /console/passkeys", About::Nothing, Door::Desk(&[]), Reach::Every, 422),
    row("POST /console/passkeys/begin", About::Nothing, Door::Desk(&[]), Reach::Every, 200),
    row("POST /console/passkeys/{credential}/remove", About::Nothing, Door::Desk(&[]), Reach::Every, 404),
    row("GET /console/passkeys/{credential}/request", About::Nothing, Door::Desk(&[]), Reach::Every, 404),
    // Nor has it a single sign-on; where there is one, is in `single_sign_on`.
    row("GET /console/sso", About::Nothing, Door::Open, Reach::Every, 404),
    row("GET /console/sso/link", About::Nothing, Door::Desk(&[]), Reach::Every, 404),
    row("GET /console/sso/callback", About::Nothing, Door::Open, Reach::Every, 404),
    // The matrix has no key for one-time codes; where there is one, is in `one_time_codes`.
    row("GET /console/totp", About::Nothing, Door::Desk(&[]), Reach::Every, 404),
    row("POST /console/totp", About::Nothing, Door::Desk(&[]), Reach::Every, 404),
    row("POST /console/totp/begin", About::Nothing, Door::Desk(&[]), Reach::Every, 404),
    row("POST /console/totp/remove", About::Nothing, Door::Desk(&[]), Reach::Every, 404),
    row("POST /console/sign-out", About::Nothing, Door::Desk(&[]), Reach::Every, 303),
    row("GET /console/sessions", About::Nothing, Door::Desk(&[]), Reach::Every, 200),
    row("POST /console/sessions/end-others", About::Nothing, Door::Desk(&[]), Reach::Every, 303),
    row("POST /console/sessions/{id}/end", About::Session, Door::Desk(&[]), Reach::Quiet, 303),
    row("GET /console/files/{release}/{*name}", About::File, Door::Open, Reach::Every, 200),
    row("ANY /console/{*rest}", About::Nothing, Door::Open, Reach::Every, 404),

    // The console: operation. The matrix has no broker; where there is one, is in `console_operate_letters`.
    row("GET /console/operate", About::Nothing, DESK_OVERSEES, Reach::Every, 200),
    row("GET /console/operate/events", About::Nothing, DESK_OVERSEES, Reach::Every, 200),
    row("GET /console/operate/dead-letters", About::Nothing, DESK_OVERSEES, Reach::Every, 503),
    row("POST /console/operate/dead-letters/replay", About::Nothing, Door::Desk(&[P::ReplayDeadLetters]), Reach::Every, 503),

    row("GET /console/calendar", About::Nothing, Door::Desk(&[P::ReadCalendar]), Reach::Every, 200),
    row("POST /console/calendar", About::Nothing, Door::Desk(&[P::KeepCalendar]), Reach::Every, 404),

    // The console: alerts.
    row("GET /console", About::Nothing, DESK_LOOKS, Reach::Every, 200),
    row("GET /console/events", About::Nothing, DESK_LOOKS, Reach::Every, 200),
    row("GET /console/alerts", About::Nothing, DESK_READS, Reach::Seen, 200),
    row("GET /console/alerts/{id}/follow", About::Submitted, DESK_READS, Reach::Seen, 200),
    row("GET /console/alerts/{id}/follow/document", About::Submitted, DESK_READS, Reach::Seen, 200),
    row("GET /console/write", About::Nothing, DESK_WRITES, Reach::Own, 200),
    row("POST /console/write", About::Nothing, DESK_WRITES, Reach::Own, 303),
    row("GET /console/write/{id}", About::Draft, DESK_WRITES, Reach::Own, 200),
    row("POST /console/write/{id}", About::Draft, DESK_WRITES, Reach::Own, 303),
    row("POST /console/write/{id}/keep", About::Draft, DESK_WRITES, Reach::Own, 200),
    // There is no working copy in the matrix; where there is one, is in `console_write`.
    row("POST /console/write/{id}/discard", About::Draft, DESK_WRITES, Reach::Own, 404),
    row("GET /console/write/{id}/document", About::Draft, DESK_WRITES, Reach::Own, 200),
    row("GET /console/alerts/{id}", About::Submitted, DESK_LOOKS, Reach::Every, 200),
    row("GET /console/alerts/{id}/document", About::Submitted, DESK_LOOKS, Reach::Every, 200),
    row("POST /console/alerts/{id}/challenge", About::Submitted, DESK_DECIDES, Reach::Every, 403),
    row("POST /console/alerts/{id}/approve", About::Submitted, DESK_DECIDES, Reach::Every, 303),
    row("POST /console/alerts/{id}/return", About::Submitted, DESK_DECIDES, Reach::Every, 303),
    row("POST /console/alerts/{id}/reject", About::Submitted, DESK_DECIDES, Reach::Every, 303),
    row("POST /console/alerts/{id}/all-clear", About::Live, Door::Desk(&[P::Recall]), Reach::Every, 409),
    row("GET /console/templates/{id}", About::Live, DESK_DECIDES, Reach::Every, 404),
    row("POST /console/templates/{id}", About::Submitted, DESK_DECIDES, Reach::Every, 409),
    row("GET /console/alerts/{id}/after-review", About::Live, DESK_LOOKS, Reach::Every, 404),
    row("POST /console/alerts/{id}/after-review", About::Live, DESK_DECIDES, Reach::Every, 404),
    row("POST /console/alerts/{id}/cancel", About::Live, Door::Desk(&[P::Recall]), Reach::Every, 409),
    row("POST /console/alerts/{id}/recall", About::Live, Door::Desk(&[P::Recall]), Reach::Every, 303),
    row("GET /console/broadcasts/{id}", About::Broadcast, DESK_LOOKS, Reach::Every, 200),
    row("GET /console/broadcasts/{id}/events", About::Broadcast, DESK_LOOKS, Reach::Every, 200),
    row("POST /console/broadcasts/{id}/correction", About::Broadcast, DESK_DECIDES, Reach::Every, 303),
    row("POST /console/broadcasts/{id}/pause", About::Broadcast, DESK_STEERS, Reach::Every, 200),
    row("POST /console/broadcasts/{id}/resume", About::Paused, DESK_STEERS, Reach::Every, 303),
    row("POST /console/broadcasts/{id}/stop", About::Broadcast, DESK_STEERS, Reach::Every, 200),

    // The console: what was done, and how much.
    row("GET /console/audit", About::Nothing, DESK_OVERSEES, Reach::Every, 200),
    row("GET /console/devices", About::Nothing, DESK_OVERSEES, Reach::Every, 200),
    // The console: reports, of all or of the own agency.
    row("GET /console/reports", About::Nothing, DESK_READS, Reach::Every, 200),
    row("GET /console/reports.xlsx", About::Nothing, DESK_READS, Reach::Every, 200),
    row("GET /console/reports.csv", About::Nothing, DESK_READS, Reach::Every, 200),
    row("GET /console/reports.pdf", About::Nothing, DESK_READS, Reach::Every, 200),

    // The console: accounts.
    row("GET /console/accounts", About::Nothing, Door::Desk(&[P::ReadAccounts]), Reach::Every, 200),
    row("POST /console/accounts", About::Nothing, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/accounts/{id}/role", About::Account, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/accounts/{id}/key", About::Account, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/accounts/{id}/broker-user", About::Account, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/accounts/{id}/client", About::Account, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/accounts/{id}/invite", About::Account, DESK_MANAGES, Reach::Every, 200),
    row("POST /console/accounts/{id}/lock-out", About::Account, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/accounts/{id}/close", About::Account, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/broker-users/remove", About::BrokerUser, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/clients/{id}/unlink", About::Client, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/keys/{id}/revoke", About::Key, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/changes/{id}/confirm", About::Proposal, DESK_MANAGES, Reach::Every, 303),
    row("POST /console/changes/{id}/refuse", About::Proposal, DESK_MANAGES, Reach::Every, 303),
];

/// The same routes about things that are not theirs to show: whoever asks, there is nothing there.
#[rustfmt::skip]
pub const NOT_THERE: &[Row] = &[
    row("GET /public/alerts/{id}", About::Draft, Door::Open, Reach::Every, 404),
    row("GET /public/alerts/{id}", About::Submitted, Door::Open, Reach::Every, 404),
    row("GET /public/alerts/{id}/document", About::Submitted, Door::Open, Reach::Every, 404),
];

impl Row {
    /// Its method; a route for any method is asked with one that writes.
    pub fn method(&self) -> &'static str {
        match self.route.split_once(' ').expect("method and path").0 {
            "ANY" => "POST",
            method => method,
        }
    }

    /// Its path, with what it names in braces.
    pub fn path(&self) -> &'static str {
        self.route.split_once(' ').expect("method and path").1
    }

    /// Does it change anything when it is done?
    pub fn writes(&self) -> bool {
        self.method() != "GET" && self.done < 400
    }

    /// Which things it is asked about.
    pub fn asked_about(&self) -> &'static [Whose] {
        match self.about {
            About::Nothing => &[Whose::Own],
            About::File => &[Whose::Own, Whose::Nobodys],
            // Nobody in the matrix has a phone; who has, is in `devices_registry`.
            About::Phone => &[Whose::Foreign, Whose::Nobodys],
            _ => &[Whose::Own, Whose::Foreign, Whose::Nobodys],
        }
    }

    /// The one answer that is right.
    pub fn expected(&self, holds: Holds, whose: Whose) -> Expected {
        let refused = |status| Expected { status, changes: false };
        let inside = match (self.door, holds) {
            (Door::Open, _) => {
                // Whoever is signed in has no use for the form.
                return match (self.route, holds) {
                    ("GET /console/sign-in", Holds::Session(_)) => refused(303),
                    _ => self.found(true, whose),
                };
            }
            (Door::Secret, _) => {
                return match (whose, self.method()) {
                    (Whose::Nobodys, "PUT") => Expected { status: self.done, changes: true },
                    (Whose::Nobodys, _) => refused(404),
                    (Whose::Own | Whose::Foreign, _) => refused(401),
                };
            }
            (Door::Key(powers), Holds::Key(role)) | (Door::Desk(powers), Holds::Session(role)) => {
                (role, powers)
            }
            (Door::Inbox, _) | (Door::Key(_), Holds::Nothing | Holds::Session(_)) => {
                return refused(401);
            }
            // To the sign-in page.
            (Door::Desk(_), Holds::Nothing | Holds::Key(_)) => return refused(303),
        };
        let (role, powers) = inside;
        if let Some(status) = exception(self.route, role) {
            return refused(status);
        }
        if !powers.is_empty() && !powers.iter().any(|power| role.may(*power)) {
            return refused(403);
        }
        self.found(role.may(Power::ReadAllAlerts), whose)
    }

    fn found(&self, sees_all: bool, whose: Whose) -> Expected {
        let done = Expected { status: self.done, changes: self.writes() };
        let is_there = match (self.reach, whose) {
            (Reach::Quiet, Whose::Own) => return done,
            (Reach::Quiet, Whose::Foreign | Whose::Nobodys) => {
                return Expected { changes: false, ..done };
            }
            (_, Whose::Own) | (Reach::Every, Whose::Foreign) => true,
            (Reach::Seen, Whose::Foreign) => sees_all,
            (Reach::Own, Whose::Foreign) | (_, Whose::Nobodys) => false,
        };
        if is_there { done } else { Expected { status: 404, changes: false } }
    }
}

/// Where a role gets another answer than its powers alone would say, and why.
fn exception(route: &str, role: Role) -> Option<u16> {
    match (route, role) {
        // Sees accounts and no alerts, or the own agency's alerts only: is sent there.
        ("GET /console", Role::Administrator | Role::Submitter) => Some(303),
        // No passkey of this approver is certified here; who has one, is in `approver_seals`.
        (
            "POST /v1/review/alerts/{id}/challenge" | "POST /console/alerts/{id}/challenge",
            Role::Approver,
        ) => Some(403),
        _ => None,
    }
}
