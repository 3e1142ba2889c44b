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
        fs::rename(&mount, &aside)?;
        fs::create_dir(&mount)?;
        let mounted = mount_at(&mount, &image);
        let copied = match &mounted {
            Ok(()) => run("cp", &["-a", &format!("{}/.", aside.display()), &text(&mount)]),
            Err(_) => fs::remove_dir(&mount)
                .and_then(|()| fs::rename(&aside, &mount))
                .context("the database could not be put back"),
        };
        copied?;
        servers.order(&["start", "postgres"])?;
        mounted?;
        fs::remove_dir_all(aside)?;
        Ok(Self { servers: Arc::clone(servers), mount })
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

/// Where `scripts/services` keeps the data of the servers of `home`.
pub fn data(home: &Path) -> anyhow::Result<PathBuf> {
    for instance in fs::read_dir(home)? {
        let Ok(state) = fs::read_to_string(instance?.path().join("services.env")) else { continue };
        if let Some(line) = state.lines().find_map(|line| line.strip_prefix("DATA_DIR=")) {
            return Ok(PathBuf::from(line));
        }
    }
    anyhow::bail!("{} holds no servers", home.display())
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
