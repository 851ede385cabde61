//! One run of the virtual machine, from power-on to the moment when its power is cut.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What keeps the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// ext4 on a virtio disk with a volatile write cache.
    Block,
    /// ext4 mounted with `-o dax` on memory that survives.
    Dax,
}

impl Medium {
    /// As it is called on the command line and in the machine.
    pub fn name(self) -> &'static str {
        if self == Self::Block { "block" } else { "dax" }
    }
}

/// Where things lie, and how long the machine may take.
pub struct Site {
    /// The kernel and the archive.
    pub dir: PathBuf,
    /// This run's files.
    pub work: PathBuf,
    /// A directory with a short path: that of a socket has at most 107 bytes.
    pub sockets: tempfile::TempDir,
    pub medium: Medium,
    /// `tcg` or `kvm`.
    pub accelerator: String,
}

impl Site {
    /// The file behind the disk or the persistent memory.
    pub fn image(&self) -> PathBuf {
        self.work.join("image")
    }

    /// The socket on which the disk answers.
    pub fn socket(&self) -> PathBuf {
        self.sockets.path().join("disk")
    }

    /// The raw file to which the machine writes its tree.
    pub fn tree(&self) -> PathBuf {
        self.work.join("tree.tar")
    }

    /// What worker `id` has sent; 3 are the real programs.
    pub fn sent(&self, id: usize) -> PathBuf {
        self.work.join(format!("sent.{id}"))
    }

    fn console(&self) -> PathBuf {
        self.work.join("console")
    }
}

/// What takes longer is worth a look: the machine then says on its console where everything stands.
const SLOW: Duration = Duration::from_secs(160);

/// The size of the disk or of the persistent memory.
pub const IMAGE: u64 = 512 << 20;

/// A running machine; dropping it cuts its power.
pub struct Machine {
    child: Child,
    console: PathBuf,
}

impl Machine {
    /// Power on. `settings` are in the environment of the machine's first process.
    pub fn start(site: &Site, settings: &str) -> Self {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-machine", "pc", "-cpu", "max", "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        command.args(["-accel", &site.accelerator]);
        let memory = ["-object", "memory-backend-ram,id=low,size=512M", "-object", "memory-backend-ram,id=high,size=512M"];
        let kernel = format!("console=ttyS0 quiet panic=-1 nokaslr no_timer_check VM_MEDIUM={} {settings}", site.medium.name());
        match site.medium {
            Medium::Block => {
                command.args(["-m", "1024M"]).args(memory).args(["-numa", "node,memdev=low,cpus=0-1", "-numa", "node,memdev=high"]);
                command.arg("-blockdev").arg(format!("driver=nbd,node-name=disk,server.type=unix,server.path={}", site.socket().display()));
                command.args(["-device", "virtio-blk-pci,drive=disk"]).args(["-append", &kernel]);
            }
            Medium::Dax => {
                // The middle of the memory is a file; firmware and archive lie above it.
                command.args(["-m", "1536M"]).args(memory).arg("-object");
                command.arg(format!("memory-backend-file,id=pm,share=on,size={IMAGE},mem-path={}", site.image().display()));
                command.args(["-numa", "node,memdev=low,cpus=0-1", "-numa", "node,memdev=pm", "-numa", "node,memdev=high"]);
                command.args(["-append", &format!("{kernel} memmap=512M!512M")]);
            }
        }
        command.arg("-blockdev").arg(format!("driver=file,node-name=tree,filename={}", site.tree().display()));
        command.args(["-device", "virtio-blk-pci,drive=tree"]);
        command.arg("-kernel").arg(site.dir.join("vmlinuz")).arg("-initrd").arg(site.dir.join("initrd"));
        command.arg("-serial").arg(format!("file:{}", site.console().display()));
        for id in 0..4 {
            command.arg("-chardev").arg(format!("file,id=sent{id},append=on,path={}", site.sent(id).display()));
            command.arg("-device").arg(format!("isa-debugcon,iobase={:#x},chardev=sent{id}", port(id)));
        }
        let _ = std::fs::remove_file(site.console());
        let errors = File::create(site.work.join("qemu.log")).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("qemu-system-x86_64: {error} (ci/vm.sh installs it)"));
        Self { child, console: site.console() }
    }

    /// What the console has shown until now.
    pub fn console(&self) -> String {
        std::fs::read(&self.console).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Returns when `done` says so.
    ///
    /// # Errors
    /// The machine says that something failed, has stopped, or takes too long.
    pub fn wait(&mut self, what: &str, patience: Duration, mut done: impl FnMut(&str) -> bool) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let console = self.console();
            if let Some(line) = console.lines().find(|line| BAD.iter().any(|bad| line.contains(bad))) {
                return Err(line.to_owned());
            }
            if done(&console) {
                if started.elapsed() > SLOW {
                    println!("waiting for {what} took {} s; the console:\n{console}", started.elapsed().as_secs());
                }
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("waiting for {what}: the machine stopped ({status})"));
            }
            if started.elapsed() > patience {
                return Err(format!("waiting for {what}: nothing after {} s", patience.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Power off, at once.
    pub fn cut(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Signs of failure on the console.
const BAD: [&str; 5] = ["VM: FAILED", "Kernel panic", "BUG:", "EXT4-fs error", "Oops"];

/// The port behind `Site::sent`.
pub fn port(id: usize) -> usize {
    0xe00 + id
}

/// A file system for the pool in `image`.
pub fn format(image: &Path) {
    let file = File::create(image).expect("a file");
    file.set_len(IMAGE).expect("room");
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let status = Command::new("mke2fs").env("PATH", path).args(["-q", "-t", "ext4", "-b", "4096", "-F"]).arg(image).status();
    assert!(status.is_ok_and(|status| status.success()), "mke2fs (package e2fsprogs)");
}
