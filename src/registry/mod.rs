//! Phones come, change and leave: by their own word over HTTP, or by the ten thousand from a file.
//!
//! Which numbers they get and who wins an address is decided in `store::device`; what an address may look like, in
//! `domain::registration`. Forgetting a dead address is not done here but where the provider's answer arrives (`delivery`).

/// `loa devices import`.
pub mod import;

/// How often one may register.
pub mod limits;

/// `PUT` and `DELETE /v1/devices/{installation}`.
pub mod registrar;

/// Phones of a small sample say that they showed an alert.
pub mod shown;

/// Who vouches that an installation belongs to a citizen.
pub mod subject;

pub use registrar::{Caller, LiveAlert, Registrar, RegistryError, Welcome};
pub use subject::SubjectToken;
