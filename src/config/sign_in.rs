//! With what people sign in to the console.

use serde::Deserialize;

/// `[sign_in]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Does a password alone let in those who have no passkey?
    pub password_alone: bool,
}
