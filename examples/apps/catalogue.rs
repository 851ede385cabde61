//! The applications.

use crate::app::{App, Durable, Output, Proof};
use crate::inputs::Input;
use crate::options::Options;
use flac_harness::{System, Target};

/// Those that the options choose.
pub fn chosen(options: &Options) -> Vec<App> {
    let wanted = |app: &App| {
        (!options.no_fsync || app.durable != Durable::Itself)
            && (options.only.is_empty() || options.only.iter().any(|part| app.name.contains(part.as_str())))
    };
    all(options).into_iter().filter(wanted).collect()
}

fn all(options: &Options) -> Vec<App> {
    [large(options), fio(options), texts(options), trees(options), databases(options)].concat()
}

/// A row that reads only; the functions below say what else it does. It must reach `times` of tmpfs, and never be slower than either tmpfs.
fn app(name: String, inputs: &'static [Input], step: &[&str], times: f64) -> App {
    let steps = vec![words(step)];
    let targets = vec![Target { times, system: System::Tmpfs }, Target { times: 0.95, system: System::Huge }];
    let (needs, before, proof, durable) = (&[][..], Vec::new(), Proof::Printed, Durable::Nothing);
    App { name, needs, inputs, before, steps, output: Output::Memory, proof, durable, cold: false, said: None, files: 0, targets }
}

fn words(step: &[&str]) -> Vec<String> {
    step.iter().map(|word| (*word).to_owned()).collect()
}

impl App {
    /// It makes this file.
    fn makes(mut self, name: &'static str) -> App {
        self.before.push(words(&["rm", "-f", &format!("@{name}")]));
        App { proof: Proof::File(name), durable: Durable::File(name), ..self }
    }

    /// It makes so many files in this directory.
    fn makes_tree(mut self, name: &'static str, files: u64) -> App {
        self.before.push(words(&["rm", "-rf", &format!("@{name}")]));
        self.before.push(words(&["mkdir", &format!("@{name}")]));
        App { proof: Proof::Tree(name), durable: Durable::Everything, files, ..self }
    }

    fn needs(self, needs: &'static [&'static str]) -> App {
        App { needs, ..self }
    }

    /// It needs so many files.
    fn of_files(self, files: u64) -> App {
        App { files, ..self }
    }
}

/// `500 MB` at full scale.
fn size(full: u64, options: &Options) -> String {
    let bytes = full * options.scale() / 100;
    if bytes >= 10_000_000 { format!("{} MB", bytes / 1_000_000) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

const READ: &str = "import sys; print(len(open(sys.argv[1], 'rb').read()))";
const FROMFILE: &str = "import sys, numpy; print(int(numpy.fromfile(sys.argv[1], dtype='u4').sum(dtype='u8')))";
const SAVE: &str = "import sys, numpy; numpy.save(sys.argv[2], numpy.fromfile(sys.argv[1], dtype='u4'))";

/// Large files, moved as they are.
fn large(options: &Options) -> Vec<App> {
    let (big, integers) = (size(500_000_000, options), 134_217_728 * options.scale() / 100);
    let zeros = 128 * options.scale().max(4) / 100;
    let first = ["dd", "bs=2M", "status=none", "if=/dev/zero", "of=@copy", &format!("count={zeros}")];
    let cat = app(format!("cat to a pipe {big}"), &[Input::Big], &["cat", "@big"], 0.95);
    let bigsort = app(format!("bigsort {integers} integers"), &[Input::Integers], &["BIGSORT", "@integers", "@sorted"], 0.95);
    let first = app(format!("first write after boot {} MiB", 2 * zeros), &[], &first, 0.95).makes("copy");
    vec![
        app(format!("cp {big}"), &[Input::Big], &["cp", "@big", "@copy"], 40.0).makes("copy"),
        app(format!("dd bs=2M {big}"), &[Input::Big], &["dd", "bs=2M", "status=none", "if=@big", "of=@copy"], 40.0).makes("copy"),
        App { output: Output::Pipe, ..cat },
        app(format!("python read() {big}"), &[Input::Big], &["PYTHON", "-c", READ, "@big"], 5.0).needs(&["python3"]),
        app(format!("numpy fromfile, sum {big}"), &[Input::Big], &["PYTHON", "-c", FROMFILE, "@big"], 0.95).needs(&["numpy"]),
        app(format!("numpy fromfile, save {big}"), &[Input::Big], &["PYTHON", "-c", SAVE, "@big", "@copy.npy"], 0.95)
            .makes("copy.npy")
            .needs(&["numpy"]),
        app(format!("sha256sum {big}"), &[Input::Big], &["sha256sum", "@big"], 1.0),
        App { proof: Proof::Said(words(&["BIGSORT", "--check", "@integers", "@sorted"])), ..bigsort.makes("sorted") },
        App { cold: true, ..first },
    ]
}

/// A second opinion: what fio says that its reads and writes took, without its start.
fn fio(options: &Options) -> Vec<App> {
    let size = 256 * options.scale() / 100;
    let row = |rw: &str, block: &str, times: f64| {
        let (rw_option, block_option, size_option) = (format!("--rw={rw}"), format!("--bs={block}"), format!("--size={}m", size.max(4)));
        let fixed = ["--name=row", "--ioengine=psync", "--thread", "--invalidate=0", "--loops=4", "--randrepeat=1", "--allrandrepeat=1"];
        let mut step = vec!["fio"];
        step.extend(fixed);
        step.extend(["--buffer_pattern=0x5a6b7c8d", "--output-format=json", &rw_option, &block_option, &size_option]);
        let (file, inputs): (_, &'static [Input]) =
            if rw.ends_with("read") { ("--filename=@big", &[Input::Big]) } else { ("--filename=@written", &[]) };
        step.push(file);
        let row = app(format!("fio psync {rw} {block} {} MiB", 4 * size.max(4)), inputs, &step, times).needs(&["fio"]);
        let row = if inputs.is_empty() { row.makes("written") } else { row };
        App { said: Some(seconds_of_fio), durable: Durable::Nothing, ..row }
    };
    vec![row("randread", "4k", 2.5), row("read", "2m", 0.95), row("randwrite", "4k", 2.5), row("write", "2m", 0.95)]
}

fn seconds_of_fio(printed: &str) -> Option<f64> {
    let report: serde_json::Value = serde_json::from_str(&printed[printed.find('{')?..]).ok()?;
    let job = &report["jobs"][0];
    let milliseconds = job["read"]["runtime"].as_f64()? + job["write"]["runtime"].as_f64()?;
    (job["error"] == 0).then_some(milliseconds.max(0.5) / 1e3)
}

/// Text.
fn texts(options: &Options) -> Vec<App> {
    let (text, short) = (size(220_000_000, options), size(50_000_000, options));
    vec![
        app(format!("grep -c {text}"), &[Input::Text], &["grep", "-c", "tee", "@text"], 1.0),
        app(format!("sort {text}"), &[Input::Text], &["sort", "-o", "@sorted", "@text"], 1.3).makes("sorted"),
        app(format!("gzip {short}"), &[Input::ShortText], &["gzip", "-kn", "@short"], 1.0).makes("short.gz"),
    ]
}

/// Many files.
fn trees(options: &Options) -> Vec<App> {
    let (files, small) = (12_000 * options.scale() / 100, 10_000 * options.scale() / 100);
    let (tree, status) = (format!("of {files} files"), ["git", "-C", "@repository", "status", "--porcelain"]);
    let remove = app(format!("rm -rf of {small} files"), &[Input::SmallArchive], &["rm", "-rf", "@unpacked"], 1.0);
    let grep = app(format!("grep -rc {tree}"), &[Input::Tree], &["grep", "-rc", "tee", "@tree"], 1.0);
    let mut remove = remove.makes_tree("unpacked", small);
    remove.before.push(words(&["tar", "xf", "@small.tar", "-C", "@unpacked"]));
    vec![
        app(format!("tar c {tree}"), &[Input::Tree], &["tar", "cf", "@made.tar", "--sort=name", "-C", "@tree", "."], 2.0)
            .makes("made.tar")
            .of_files(files),
        App { proof: Proof::Lines, ..grep.of_files(files) },
        app(format!("cp -a {tree}"), &[Input::Tree], &["cp", "-a", "@tree/.", "@copied"], 0.95).makes_tree("copied", files),
        app(format!("tar x {tree}"), &[Input::Archive], &["tar", "xf", "@tree.tar", "-C", "@unpacked"], 2.0).makes_tree("unpacked", files),
        app(format!("untar {small} small files"), &[Input::SmallArchive], &["tar", "xf", "@small.tar", "-C", "@unpacked"], 0.95)
            .makes_tree("unpacked", small),
        App { proof: Proof::Gone("unpacked"), durable: Durable::Nothing, ..remove },
        app(format!("git status of {small} files"), &[Input::Repository], &status, 0.95).needs(&["git"]).of_files(small),
    ]
}

/// Databases.
fn databases(options: &Options) -> Vec<App> {
    let rows = 200_000 * options.scale() / 100;
    let dump = "select count(*), sum(number), sum(length(text)) from items; select * from items where number < 1000000 order by number";
    let query = "select sum(number), max(text) from items; select count(*) from items where number between 100000000 and 500000000";
    let proof = Proof::Said(words(&["sqlite3", "@made.db", dump]));
    let insert = |pragma: &str| {
        let step = ["sqlite3", "@made.db", &format!("pragma synchronous = {pragma}"), ".read @inserts.sql"];
        let row = app(format!("sqlite insert {rows} rows, synchronous={pragma}"), &[Input::Inserts], &step, 0.95);
        App { proof: proof.clone(), ..row.makes("made.db").needs(&["sqlite3"]) }
    };
    let targets = vec![Target { times: 1.0, system: System::DiskSync }];
    let select = app(format!("sqlite select in {rows} rows"), &[Input::Database], &["sqlite3", "@items.db", query], 0.95);
    vec![
        App { proof: proof.clone(), durable: Durable::Nothing, ..insert("off") },
        App { proof: proof.clone(), durable: Durable::Itself, targets, ..insert("full") },
        select.needs(&["sqlite3"]),
    ]
}
