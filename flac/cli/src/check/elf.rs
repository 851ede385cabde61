//! An ELF file, as far as the loader and the preload library care. Read in pieces, never run.

use super::raw::{self, RawCalls};
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Architecture, Endianness, Object, ObjectSection, ReadCache, elf};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The parts of glibc that have file functions. What newer versions keep in libc.so.6 alone was spread over these.
const LIBC: [&str; 5] = ["libc.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"];

/// What was read.
pub struct Binary {
    pub path: PathBuf,
    /// `Unknown` for programs of 32 bits, of which nothing more is read.
    pub architecture: Architecture,
    /// The loader, if it asks for one.
    pub interpreter: Option<String>,
    pub needed: Vec<Vec<u8>>,
    pub soname: Option<Vec<u8>>,
    pub rpath: Option<Vec<u8>>,
    pub runpath: Option<Vec<u8>>,
    /// Symbols that it imports from libc.
    pub imports: BTreeSet<String>,
    /// Symbols that it imports without saying from where.
    pub unversioned: BTreeSet<String>,
    /// Symbols that it defines for others.
    pub exports: BTreeSet<String>,
    pub raw: RawCalls,
    /// It has code and symbols of Go's run time.
    pub is_go: bool,
    /// Why the loader would not listen to `LD_PRELOAD` when the present user runs it.
    pub privileged: Option<&'static str>,
}

impl Binary {
    /// Reads the file; its code, too, if `with_code`.
    pub fn read(path: &Path, with_code: bool) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let about = file.metadata().map_err(|error| error.to_string())?;
        let cache = ReadCache::new(file);
        let mut binary = Self {
            path: path.to_owned(),
            architecture: Architecture::Unknown,
            interpreter: None,
            needed: Vec::new(),
            soname: None,
            rpath: None,
            runpath: None,
            imports: BTreeSet::new(),
            unversioned: BTreeSet::new(),
            exports: BTreeSet::new(),
            raw: RawCalls::default(),
            is_go: false,
            privileged: privileged(path, &about),
        };
        match object::FileKind::parse(&cache) {
            Ok(object::FileKind::Elf64) => {}
            Ok(object::FileKind::Elf32) => return Ok(binary),
            _ => return Err("neither an ELF program nor a script".into()),
        }
        let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(|error| error.to_string())?;
        binary.architecture = elf.architecture();
        binary.is_go = elf.sections().any(|section| section.name().is_ok_and(|name| matches!(name, ".go.buildinfo" | ".note.go.buildid")));
        binary.read_dynamic(&elf).map_err(|error| error.to_string())?;
        if with_code {
            binary.read_code(&elf).map_err(|error| error.to_string())?;
        }
        Ok(binary)
    }

    fn read_dynamic<'d>(&mut self, elf: &ElfFile64<'d, Endianness, &'d ReadCache<File>>) -> object::Result<()> {
        for header in elf.elf_program_headers() {
            if let Some(path) = header.interpreter(elf.endian(), elf.data())? {
                self.interpreter = Some(String::from_utf8_lossy(path).into_owned());
            }
        }
        let dynamic = elf.elf_dynamic_table()?;
        for entry in dynamic.iter() {
            let text = || dynamic.string(entry).map(<[u8]>::to_vec);
            match entry.tag {
                elf::DT_NEEDED => self.needed.push(text()?),
                elf::DT_SONAME => self.soname = Some(text()?),
                elf::DT_RPATH => self.rpath = Some(text()?),
                elf::DT_RUNPATH => self.runpath = Some(text()?),
                _ => {}
            }
        }
        for import in elf.imports()? {
            let import = import?;
            let object::NameOrOrdinal::Name(name) = import.name() else { continue };
            let name = String::from_utf8_lossy(name).into_owned();
            let private = matches!(import.flags(), object::ImportFlags::Elf { version: Some(b"GLIBC_PRIVATE"), .. });
            if import.library().is_empty() {
                self.unversioned.insert(name);
            } else if !private && LIBC.iter().any(|library| library.as_bytes() == import.library()) {
                self.imports.insert(name);
            }
        }
        for export in elf.exports()? {
            if let object::NameOrOrdinal::Name(name) = export?.name() {
                self.exports.insert(String::from_utf8_lossy(name).into_owned());
            }
        }
        Ok(())
    }

    fn read_code<'d>(&mut self, elf: &ElfFile64<'d, Endianness, &'d ReadCache<File>>) -> object::Result<()> {
        if self.is_libc() {
            return Ok(());
        }
        for header in elf.elf_program_headers() {
            if header.p_type(elf.endian()) == elf::PT_LOAD && header.p_flags(elf.endian()).0 & elf::PF_X.0 != 0 {
                let code = header.data(elf.endian(), elf.data()).unwrap_or_default();
                raw::scan(self.architecture, code, &mut self.raw);
            }
        }
        Ok(())
    }

    /// Whether it belongs to the C library itself: its system calls are those that the hooks replace.
    pub fn is_libc(&self) -> bool {
        let name = self.soname.as_deref().unwrap_or_default();
        LIBC.iter().any(|library| library.as_bytes() == name)
            || name.starts_with(b"ld-linux")
            || matches!(name, b"libresolv.so.2" | b"libm.so.6" | b"libanl.so.1" | b"libnsl.so.1" | b"libmvec.so.1")
            || name.starts_with(b"libnss_")
    }

    /// Whether it is for the processor that this program, and the preload library beside it, are for.
    pub fn is_native(&self) -> bool {
        self.architecture == if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 }
    }

    /// Whether one process can load both.
    pub fn same_kind(&self, other: &Self) -> bool {
        self.architecture == other.architecture
    }
}

/// Where the kernel tells the loader that the program has rights that its user has not.
fn privileged(path: &Path, about: &std::fs::Metadata) -> Option<&'static str> {
    let (mode, uid, gid) = (about.permissions().mode(), rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if mode & 0o4000 != 0 && about.uid() != uid {
        return Some("setuid");
    }
    if mode & 0o2010 == 0o2010 && about.gid() != gid {
        return Some("setgid");
    }
    let mut none = [0u8; 0];
    (uid != 0 && rustix::fs::getxattr(path, "security.capability", &mut none).is_ok()).then_some("file capabilities")
}
