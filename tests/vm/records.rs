//! What the machine acknowledged, and whether it is there.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::Site;

/// Acknowledgements of all rounds: `verify.py`'s records of the workers 0 to 2, and the highest number of each kind of change by real programs.
pub struct Records {
    dir: PathBuf,
    real: BTreeMap<String, u64>,
}

impl Records {
    /// As the machine's `setup` leaves the tree.
    pub fn new(site: &Site) -> Self {
        let dir = site.work.join("records");
        std::fs::create_dir(&dir).expect("a directory");
        for id in 0..3 {
            std::fs::write(dir.join(id.to_string()), "= [\"m\", [\"at\", \"own\"]]\n").expect("a file");
        }
        Self { dir, real: ["delete", "wal", "data"].map(|kind| (kind.to_owned(), 0)).into() }
    }

    /// Takes over what was sent until the power was cut. A line that the cut tore was not sent.
    pub fn take(&mut self, site: &Site) {
        for id in 0..4 {
            let text = std::fs::read_to_string(site.sent(id)).unwrap_or_default();
            let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
            if id < 3 {
                let mut record = std::fs::File::options().append(true).open(self.dir.join(id.to_string())).expect("a record");
                record.write_all(whole.as_bytes()).expect("a record");
            } else {
                for line in whole.lines() {
                    let [_, kind, number] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
                    self.real.insert(kind.to_owned(), number.parse().expect("a number"));
                }
            }
            let _ = std::fs::remove_file(site.sent(id));
        }
    }

    /// A number above all that were used.
    pub fn next_number(&self) -> u64 {
        let texts = (0..3).map(|id| std::fs::read_to_string(self.dir.join(id.to_string())).expect("a record"));
        let last = |text: String| text.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).max().unwrap_or(0);
        texts.map(last).max().unwrap_or(0) + 1
    }

    /// Compares the tree that the machine has exported. Its records are then what was found there.
    ///
    /// # Errors
    /// What is missing, torn, or was never made.
    pub fn check_tree(&self, site: &Site) -> Result<String, String> {
        let tree = site.work.join("tree");
        let _ = std::fs::remove_dir_all(&tree);
        std::fs::create_dir(&tree).expect("a directory");
        let unpacked = Command::new("tar").arg("-xf").arg(site.tree()).arg("-C").arg(&tree).status();
        assert!(unpacked.is_ok_and(|status| status.success()), "the exported tree");
        let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kill/verify.py");
        let output = Command::new("python3").arg(verifier).arg("reboot").arg(&tree).arg(&self.dir).output().expect("python3");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim_end().to_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// Compares what `real.sh check` said on the console.
    ///
    /// # Errors
    /// What is missing.
    pub fn check_real(&self, console: &str) -> Result<(), String> {
        for (kind, sure) in &self.real {
            let start = format!("VM: real {kind} ");
            let line =
                console.lines().find_map(|line| line.strip_prefix(&start)).ok_or_else(|| format!("nothing was said about {kind}"))?;
            let words: Vec<&str> = line.split_whitespace().collect();
            let number: u64 = words[0].parse().map_err(|_| line.to_owned())?;
            if number < *sure {
                return Err(format!("{kind}: {sure} was acknowledged, {number} is there"));
            }
            if kind != "data" && words[1..] != [words[0], "0", "ok"] {
                return Err(format!("database {kind}: rows up to, rows, wrong rows, integrity: {line}"));
            }
        }
        Ok(())
    }
}
