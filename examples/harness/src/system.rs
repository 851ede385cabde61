//! The competitors.

use serde::{Deserialize, Serialize};

/// One of the competitors, or what they are measured against.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum System {
    /// A fresh pool under the preload library.
    #[serde(rename = "flac")]
    Flac,
    /// `/dev/shm` as it is mounted by default.
    #[serde(rename = "tmpfs")]
    Tmpfs,
    /// A tmpfs mounted with `huge=always`.
    #[serde(rename = "huge")]
    Huge,
    /// Whatever the disk directory is on.
    #[serde(rename = "disk")]
    Disk,
    /// As `Flac`, and the result is durable.
    #[serde(rename = "flac+fsync")]
    FlacSync,
    /// As `Disk`, and the result is durable.
    #[serde(rename = "disk+fsync")]
    DiskSync,
    /// No file system: a process with the preload library but without `FLAC_ROOT`.
    #[serde(rename = "preload")]
    Preload,
    /// No file system: what no file system can save.
    #[serde(rename = "limit")]
    Limit,
}

impl System {
    /// All that hold files, in the order of tables.
    pub const FILES: [System; 6] = [System::Flac, System::Tmpfs, System::Huge, System::Disk, System::FlacSync, System::DiskSync];

    /// Its name in tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            System::Flac => "flac",
            System::Tmpfs => "tmpfs",
            System::Huge => "huge",
            System::Disk => "disk",
            System::FlacSync => "flac+fsync",
            System::DiskSync => "disk+fsync",
            System::Preload => "preload",
            System::Limit => "limit",
        }
    }

    /// Whether files on it are those of the pool.
    #[must_use]
    pub fn is_flac(self) -> bool {
        matches!(self, System::Flac | System::FlacSync)
    }

    /// Whether a step on it ends only when its result is durable.
    #[must_use]
    pub fn is_durable(self) -> bool {
        matches!(self, System::FlacSync | System::DiskSync)
    }
}
