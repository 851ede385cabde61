//! Whether the cache has huge frames, why (not), and the one command that mends it.

use flac::region::{HUGE_DIR, Place, find_huge};

const SWITCH: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/// What there is to say about huge frames.
pub struct Advice {
    /// Whether the cache that is (or would be) in use has them.
    pub huge: bool,
    /// Why.
    pub why: String,
    /// What would change it.
    pub cure: Option<&'static str>,
}

/// About a cache that has huge frames or not (`made`), or is not made yet.
pub fn frames(made: Option<bool>) -> Advice {
    let place = find_huge();
    let denied = std::fs::read_to_string(SWITCH).is_ok_and(|modes| modes.contains("[deny]"));
    let no = |why: &str, cure| Advice { huge: false, why: why.to_owned(), cure };
    match (place, made) {
        (Place::Huge(dir), None | Some(true)) if !denied => {
            Advice { huge: true, why: format!("{} is a tmpfs with huge pages", dir.display()), cure: None }
        }
        (_, Some(true)) if !denied => Advice { huge: true, why: "its tmpfs has huge pages".into(), cure: None },
        (_, _) if !std::path::Path::new(SWITCH).exists() => no("this kernel has no huge pages for tmpfs", None),
        (_, _) if denied => {
            no("huge pages for tmpfs are denied", Some("echo never | sudo tee /sys/kernel/mm/transparent_hugepage/shmem_enabled"))
        }
        (Place::Huge(_), _) => no("the cache was made before the tmpfs with huge pages was mounted", Some("flac stop")),
        (Place::Plain, _) => {
            let why = format!("no tmpfs with huge pages is mounted on {HUGE_DIR} (or this user may not write there)");
            no(&why, Some("sudo flac setup"))
        }
    }
}
