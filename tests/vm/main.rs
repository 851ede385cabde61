//! Power cuts in a virtual machine: nothing acknowledged is lost, and every file has its old or its new content.
//!
//! The machine (qemu, the distribution's kernel) keeps a pool on ext4, on one of two media. Three workers and some real programs change files and tell the
//! host what `fsync` has acknowledged; the host kills qemu at a random moment. What the guest had in its memory is gone then. In the next run the
//! pool is recovered, checked by `flac fsck --data`, and sent to the host, which compares; then the work goes on. Some cuts come during the recovery.
//!
//! * *block*: a virtio disk whose write cache is lost too: `disk` keeps any subset of the sectors that were written after the last flush.
//! * *dax*: memory that survives, as `/dev/pmem0`, ext4 mounted with `-o dax`. Stores reach it in program order: lost cache lines are not simulated here, but
//!   by the tests of the simulated medium.
//!
//! `ci/vm.sh` prepares the kernel and runs this; alone it does nothing.

mod compare;
mod disk;
mod flushes;
mod image;
mod machine;
mod records;
#[path = "../programs/shim.rs"]
#[expect(dead_code, reason = "the machine makes its pool itself")]
mod shim;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use disk::Disk;
use flac_outside::random::Random;
use machine::{Machine, Medium, Site};
use records::Records;

/// How long one run of the machine may take to get to work. Software emulation on a busy computer is slow.
const PATIENCE: Duration = Duration::from_secs(480);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("worker") => {
            worker::work(&args[1..]).expect("the worker");
            ExitCode::SUCCESS
        }
        Some("flushes") => match flushes::each_sync_has_one(args[1].as_ref(), args[2].as_ref()).expect("the pool works") {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        },
        Some("time") => {
            compare::run(&args[1], args[2].as_ref()).expect("the file system works");
            ExitCode::SUCCESS
        }
        Some("compare") => start(&args[1..], |run, _| run.compare()),
        Some("cuts") => start(&args[1..], Run::all),
        Some("lie") => start(&args[1..], |run, _| run.notices_a_lie()),
        _ => {
            println!("skipped: ci/vm.sh prepares the virtual machine and runs this");
            ExitCode::SUCCESS
        }
    }
}

/// Prepares what `what` needs: `block|dax CUTS DIR [kvm]`.
fn start(args: &[String], what: fn(&mut Run, u32) -> Result<(), String>) -> ExitCode {
    let medium = match args[0].as_str() {
        "block" => Medium::Block,
        "dax" => Medium::Dax,
        other => panic!("{other} is neither block nor dax"),
    };
    let seed = std::env::var("FLAC_SEED").map_or_else(
        |_| std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_nanos() as u64 % 1_000_000_007),
        |text| text.parse().unwrap_or_else(|_| panic!("FLAC_SEED={text} is no number")),
    );
    println!("power cuts, {}: FLAC_SEED={seed}", medium.name());
    let dir = PathBuf::from(&args[2]);
    image::build(&dir, &shim::build());
    let work = tempfile::Builder::new().prefix("run-").tempdir_in(&dir).expect("a temporary directory");
    let accelerator = args.get(3).map_or("tcg,thread=multi", String::as_str).to_owned();
    let sockets = tempfile::tempdir().expect("a temporary directory");
    let site = Site { dir, sockets, work: work.path().to_owned(), medium, accelerator };
    let mut run = Run { random: Random(seed), records: Records::new(&site), site, honest: true };
    match what(&mut run, args[1].parse().expect("a number of cuts")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("FAILED: {why}\nFLAC_SEED={seed}; what there is lies in {}", work.keep().display());
            ExitCode::FAILURE
        }
    }
}

struct Run {
    site: Site,
    random: Random,
    records: Records,
    /// Whether the disk does what a flush asks for.
    honest: bool,
}

impl Run {
    fn set_up(&mut self) -> Result<(), String> {
        machine::format(&self.site.image());
        self.powered("VM_ROLE=setup", |_, machine| machine.wait("the pool", PATIENCE, |console| console.contains("VM: done")))?;
        Ok(())
    }

    /// The test itself: when a disk acknowledges flushes and forgets what they were about, this must be found.
    fn notices_a_lie(&mut self) -> Result<(), String> {
        self.set_up()?;
        self.honest = false;
        self.cut_work(true)?;
        match self.cut_work(false) {
            Ok(_) => Err("acknowledged changes were lost, and nobody noticed".into()),
            Err(noticed) => {
                println!("a disk that ignores flushes is noticed: {noticed}");
                Ok(())
            }
        }
    }

    /// Prints how FLAC and the file system below it compare. Under software emulation only the ratios mean something.
    fn compare(&mut self) -> Result<(), String> {
        self.set_up()?;
        let (console, _) = self.powered("VM_ROLE=compare VM_DRAM=256M", |_, machine| {
            machine.wait("the comparison", PATIENCE, |console| console.contains("VM: done"))?;
            Ok(machine.console())
        })?;
        let mut times: BTreeMap<&str, [Vec<u64>; 2]> = BTreeMap::new();
        for line in console.lines().filter_map(|line| line.strip_prefix("VM: time ")) {
            let (system, rest) = line.split_once(' ').ok_or(line)?;
            let (what, time) = rest.split_once(": ").ok_or(line)?;
            times.entry(what).or_default()[usize::from(system == "kernel")].push(time.trim().parse().map_err(|_| line)?);
        }
        println!("{:<38} {:>10} {:>10} {:>8}", format!("{}, us", self.site.medium.name()), "FLAC", "ext4", "ratio");
        for (what, [flac, kernel]) in &mut times {
            let median = |list: &mut Vec<u64>| {
                list.sort_unstable();
                list[list.len() / 2] as f64 / 1000.0
            };
            let (flac, kernel) = (median(flac), median(kernel));
            println!("{what:<38} {flac:>10.1} {kernel:>10.1} {:>8.2}", kernel / flac);
        }
        Ok(())
    }

    fn all(&mut self, cuts: u32) -> Result<(), String> {
        self.set_up()?;
        for cut in 1..=cuts {
            let started = Instant::now();
            // Every fifth cut falls somewhere between power-on and the end of a second recovery.
            let (said, lost) =
                if cut % 5 == 0 { self.cut_recovery() } else { self.cut_work(true) }.map_err(|why| format!("cut {cut}: {why}"))?;
            println!("{} cut {cut}/{cuts}: {said}{lost}; {:.1} s", self.site.medium.name(), started.elapsed().as_secs_f32());
        }
        let (said, _) = self.cut_work(false).map_err(|why| format!("after the last cut: {why}"))?;
        println!("{}: after the last of {cuts} cuts, {said}", self.site.medium.name());
        Ok(())
    }

    fn cut_recovery(&mut self) -> Result<(String, String), String> {
        let moment = Duration::from_millis(3000 + self.random.below(12_000));
        let ((), lost) = self.powered("VM_ROLE=recover", |_, machine| {
            let end = Instant::now() + moment;
            machine.wait("the moment", PATIENCE, |_| Instant::now() > end)
        })?;
        Ok((format!("{} ms after power-on", moment.as_millis()), lost))
    }

    /// Checks what is there and, if `work`, lets the machine work on before the cut.
    fn cut_work(&mut self, work: bool) -> Result<(String, String), String> {
        let (seed, number) = (self.random.below(1 << 30), self.records.next_number());
        let dram = [24, 128][self.random.below(2) as usize];
        let moment = Duration::from_micros(self.random.below(3_000_000));
        let done = self.powered(&format!("VM_ROLE=work VM_SEED={seed} VM_NUMBER={number} VM_DRAM={dram}M"), |run, machine| {
            machine.wait("the tree", PATIENCE, |console| console.contains("VM: exported"))?;
            let said = run.records.check_tree(&run.site)?;
            run.records.check_real(&machine.console())?;
            if work {
                machine.wait("the work", PATIENCE, |console| console.contains("VM: working"))?;
                // All have acknowledged something, unless they are the one that the machine kills.
                let busy =
                    |site: &Site| (0..4).filter(|id| std::fs::read_to_string(site.sent(*id)).is_ok_and(|text| text.contains("K "))).count();
                machine.wait("acknowledgements", PATIENCE, |_| busy(&run.site) >= 3)?;
                std::thread::sleep(moment);
                machine.wait("nothing", PATIENCE, |_| true)?;
            }
            Ok(said)
        })?;
        self.records.take(&self.site);
        Ok(done)
    }

    /// Runs the machine, does `what` meanwhile, and cuts the power. Returns what became of the disk's cache, too.
    fn powered<T>(
        &mut self,
        settings: &str,
        what: impl FnOnce(&mut Self, &mut Machine) -> Result<T, String>,
    ) -> Result<(T, String), String> {
        let tree = std::fs::File::create(self.site.tree()).expect("a file");
        tree.set_len(64 << 20).expect("room");
        let _ = std::fs::remove_file(self.site.socket());
        let disk = (self.site.medium == Medium::Block).then(|| {
            let disk = Disk::open(&self.site.image(), self.honest).expect("the image");
            disk.serve(&self.site.socket()).expect("a socket")
        });
        let mut machine = Machine::start(&self.site, settings);
        let result = what(self, &mut machine);
        machine.cut();
        let Some(disk) = disk else { return result.map(|done| (done, String::new())) };
        // A machine that never came so far would leave the disk waiting.
        let _ = std::os::unix::net::UnixStream::connect(self.site.socket());
        let disk = disk.join().map_err(|_| "the disk failed")?;
        let flushes = disk.flushes;
        let (kept, lost) = disk.cut(&mut self.random).map_err(|error| format!("the disk: {error}"))?;
        result.map(|done| (done, format!("; {flushes} flushes, then {kept} sectors kept and {lost} lost")))
    }
}
