//! A file system of its own for PostgreSQL, so that it can be full without anybody else's being so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use loa::stage::Servers;

/// Room for the database, its log and nothing else, MiB. Nothing is written into it until it is used.
const SIZE: &str = "4096M";

/// The mounted file system; unmounted when dropped.
pub struct Disk {
    servers: Arc<Servers>,
    mount: PathBuf,
}

impl Disk {
    /// Moves the database of `servers`, whose directory is `home`, onto a file system of its own.
    ///
    /// # Errors
    /// When this machine does not let us mount one; the database then is where it was, and runs.
    pub fn beneath(servers: &Arc<Servers>, home: &Path) -> anyhow::Result<Self> {
        let mount = data(home)?.join("postgres");
        let (aside, image) = (mount.with_extension("aside"), home.join("postgres.img"));
        servers.order(&["stop", "postgres"])?;
        let moved = move_onto(&mount, &aside, &image);
        // Wherever it is now, it runs again.
        servers.order(&["start", "postgres"])?;
        moved.map(|()| Self { servers: Arc::clone(servers), mount })
    }

    /// Takes all that is left of it.
    pub fn fill(&self) -> anyhow::Result<()> {
        let free = Command::new("df").args(["--output=avail", "-B1"]).arg(&self.mount).output()?;
        let free = String::from_utf8(free.stdout)?;
        let free = free.lines().last().map(str::trim).unwrap_or_default().to_owned();
        // The last blocks may go to somebody else in between; then the rest is taken by writing.
        drop(run("fallocate", &["-l", &free, &text(&self.ballast())]));
        let mut last = File::options().append(true).create(true).open(self.ballast())?;
        while std::io::Write::write_all(&mut last, &[0; 4096]).is_ok() {}
        Ok(())
    }

    /// Gives it back.
    pub fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.mount.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.servers.order(&["stop", "postgres"]));
        drop(run("umount", &[&text(&self.mount)]));
    }
}

/// Refuses servers in containers: their data is no directory that we could delete or put a file system beneath.
pub fn require_local(home: &Path) -> anyhow::Result<()> {
    let backend = setting(home, "BACKEND")?;
    ensure!(
        backend == "local",
        "chaos breaks its servers from beneath and cannot do so with those of {backend}, which scripts/services took: install \
         PostgreSQL 15 or newer and RabbitMQ 3.10 or newer on this machine (Debian and Ubuntu: postgresql, rabbitmq-server)"
    );
    Ok(())
}

/// Where `scripts/services` keeps the data of the servers of `home`.
pub fn data(home: &Path) -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(setting(home, "DATA_DIR")?))
}

/// What `scripts/services` remembers of the servers of `home`.
fn setting(home: &Path, name: &str) -> anyhow::Result<String> {
    for instance in fs::read_dir(home)? {
        let Ok(state) = fs::read_to_string(instance?.path().join("services.env")) else { continue };
        let mut lines = state.lines().filter_map(|line| line.split_once('='));
        if let Some((_, value)) = lines.find(|(key, _)| *key == name) {
            return Ok(value.to_owned());
        }
    }
    anyhow::bail!("{} holds no servers", home.display())
}

/// Mounts a file system at `mount` and copies there what stood there before. When that fails, everything is as it was.
fn move_onto(mount: &Path, aside: &Path, image: &Path) -> anyhow::Result<()> {
    fs::rename(mount, aside)?;
    let moved = fs::create_dir(mount).context("no directory to mount at").and_then(|()| {
        mount_at(mount, image)?;
        run("cp", &["-a", &format!("{}/.", aside.display()), &text(mount)])
            .inspect_err(|_| drop(run("umount", &[&text(mount)])))
    });
    if moved.is_ok() {
        // It lies below the servers' directory and goes with it, if not now.
        drop(fs::remove_dir_all(aside));
    } else {
        drop(fs::remove_dir(mount));
        fs::rename(aside, mount).context("the database could not be put back")?;
    }
    moved
}

/// A disk image of ext4, which takes place as it is used; in memory where there are no loop devices.
fn mount_at(mount: &Path, image: &Path) -> anyhow::Result<()> {
    let looped = || -> anyhow::Result<()> {
        run("truncate", &["-s", SIZE, &text(image)])?;
        run("mkfs.ext4", &["-q", "-F", &text(image)])?;
        run("mount", &["-o", "loop", &text(image), &text(mount)])
    };
    let size = format!("size={SIZE},mode=0700");
    looped().or_else(|_| run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &text(mount)]))
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new(program).args(arguments).output();
    let done = done.with_context(|| program.to_owned())?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program}: {}", said.trim());
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_in_containers_are_refused_by_name() {
        let home = std::env::temp_dir().join(format!("loa-chaos-test-{}", uuid::Uuid::new_v4()));
        let told = |backend: &str| {
            fs::create_dir_all(home.join("loa-1")).expect("a directory");
            let state = format!("BACKEND={backend}\nDATA_DIR=/somewhere\n");
            fs::write(home.join("loa-1/services.env"), state).expect("a file");
            require_local(&home).map_err(|error| error.to_string())
        };
        assert_eq!(told("local"), Ok(()));
        assert!(told("docker").expect_err("refused").contains("those of docker"));
        fs::remove_dir_all(home).expect("it goes");
    }

    #[test]
    fn where_nothing_can_be_mounted_the_data_stays_where_it_was() {
        let home = std::env::temp_dir().join(format!("loa-chaos-test-{}", uuid::Uuid::new_v4()));
        let (mount, aside) = (home.join("postgres"), home.join("postgres.aside"));
        fs::create_dir_all(&mount).expect("a directory");
        fs::write(mount.join("data"), "all of it").expect("a file");
        // Somebody else's file is in the way.
        fs::create_dir_all(aside.join("taken")).expect("a directory");
        move_onto(&mount, &aside, &home.join("image")).expect_err("it cannot be moved aside");
        assert_eq!(fs::read_to_string(mount.join("data")).expect("it is there"), "all of it");
        fs::remove_dir_all(home).expect("it goes");
    }
}
