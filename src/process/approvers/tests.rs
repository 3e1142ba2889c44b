use std::path::PathBuf;
use std::sync::Arc;

use time::OffsetDateTime;

use super::*;
use crate::config::Config;
use crate::domain::id::OfficerId;
use crate::domain::seal::passkey::{Algorithm, Passkey, Site};
use crate::domain::seal::trust::{Approver, RootKey, Trust};
use crate::domain::seal::{Approvers, SealingKey};

const THEN: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn root() -> RootKey {
    let pkcs8 = SealingKey::generate().expect("random bytes");
    RootKey::from_pkcs8(&pkcs8).expect("our own")
}

fn site(rp_id: &str) -> Site {
    Site { rp_id: rp_id.into(), origins: vec![format!("https://{rp_id}")] }
}

fn approver(credential: &str) -> Approver {
    Approver {
        credential: credential.into(),
        officer: OfficerId::new(),
        person: "cb-0101".into(),
        passkey: Passkey { algorithm: Algorithm::EdDsa, public_key: vec![7; 32] },
        since: THEN,
        revoked: None,
    }
}

/// A file, and a process that was started with a list of two.
struct Disk {
    path: PathBuf,
    root: RootKey,
    trusted: TrustedKeys,
    file: ApproversFile,
}

impl Disk {
    fn new(trust: &Trust) -> Self {
        let path = std::env::temp_dir().join(format!("loa-approvers-{}", uuid::Uuid::new_v4()));
        let root = root();
        let mut seal = Config::for_testing().seal;
        seal.approvers_file = Some(path.clone());
        seal.approvers_root = Some(root.public());
        let approvers = Approvers { trust: Arc::new(trust.clone()), alone: true };
        let trusted = TrustedKeys::default().with_approvers(approvers);
        let file = ApproversFile::of(&seal, &trusted).expect("there are approvers");
        let disk = Self { path, root, trusted, file };
        disk.write(trust);
        disk
    }

    fn write(&self, trust: &Trust) {
        let bytes = serde_json::to_vec(&self.root.sign(trust)).expect("JSON");
        std::fs::write(&self.path, bytes).expect("a file");
    }

    fn ids(&self) -> Vec<String> {
        self.trusted.clone().ids()
    }

    fn refused(&self) -> String {
        self.trusted.refused_list().expect("it is refused").to_string()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

fn two() -> Trust {
    let trust = Trust::empty(site("loa.example.vn"), THEN);
    trust.certify(approver("a")).and_then(|trust| trust.certify(approver("b"))).expect("new")
}

#[tokio::test]
async fn a_later_list_of_the_root_key_is_in_force_everywhere_at_once() {
    let old = two();
    let disk = Disk::new(&old);
    assert!(!disk.file.look().await, "it is the one in force");
    assert_eq!(disk.ids(), ["passkey:a", "passkey:b"]);
    let elsewhere = disk.trusted.clone();

    disk.write(&old.revoke("a", THEN).expect("known"));
    assert!(disk.file.look().await);
    assert_eq!(elsewhere.ids(), ["passkey:b"]);
    assert_eq!(elsewhere.list(), Some(3));
    assert!(!disk.file.look().await, "once");
}

#[tokio::test]
async fn an_older_a_forged_and_an_unreadable_list_are_refused_and_the_earlier_one_stays() {
    let old = two();
    let revoked = old.clone().revoke("a", THEN).expect("known");
    let disk = Disk::new(&revoked);

    disk.write(&old);
    assert!(!disk.file.look().await, "a revocation is not undone by an old file");
    let why = disk.refused();
    assert!(why.contains("number 2, and the one in force has number 3"), "{why}");
    let again = old.certify(approver("c")).expect("new");
    disk.write(&again);
    assert!(!disk.file.look().await, "the same number, and something else");
    assert!(disk.refused().contains("number 3, and the one in force has number 3"));

    let theirs = serde_json::to_vec(&root().sign(&again)).expect("JSON");
    for (bytes, told) in [
        (&theirs[..], "the signature is not the root key's"),
        (b"{\"trust\":", "is no list of approvers"),
        (b"", "is empty"),
    ] {
        std::fs::write(&disk.path, bytes).expect("a file");
        assert!(!disk.file.look().await);
        assert!(disk.refused().contains(told), "{told}: {}", disk.refused());
    }
    std::fs::remove_file(&disk.path).expect("a file");
    assert!(!disk.file.look().await);
    assert!(disk.refused().contains("cannot be read"), "{}", disk.refused());
    assert_eq!(disk.ids(), ["passkey:b"], "what was in force is");

    disk.write(&revoked);
    assert!(!disk.file.look().await);
    assert_eq!(disk.trusted.refused_list(), None, "all is well again");
}

#[tokio::test]
async fn a_list_for_another_place_takes_a_restart() {
    let old = two();
    let disk = Disk::new(&old);
    let mut moved = old.certify(approver("c")).expect("new");
    moved.site = site("other.example.vn");
    disk.write(&moved);
    assert!(!disk.file.look().await);
    assert!(disk.refused().contains("takes a restart"), "{}", disk.refused());
}
