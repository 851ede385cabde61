//! Shared memory of loom's words, and where things lie in a log.

pub mod mapped {
    use crate::sync::AtomicU64;

    pub struct Mapped(pub Box<[AtomicU64]>);

    impl Mapped {
        pub fn words(&self) -> &[AtomicU64] {
            &self.0
        }
    }
}

pub mod layout {
    use crate::units::Seq;

    pub const LOG_START: u64 = 4096;
    pub const RECORD_ALIGN: usize = 64;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Position {
        pub generation: u64,
        pub tail: u64,
        pub seq: Seq,
        pub salt: u64,
        pub known: Seq,
    }
}
