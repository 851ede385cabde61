//! inotify: in which order, and nothing besides.

use crate::case::{Dir, Outcome, cases};
use crate::sys;
use libc::{IN_ALL_EVENTS, IN_ATTRIB, IN_DELETE_SELF, IN_IGNORED, IN_ISDIR};

cases![
    a_directorys_parent_is_told_before_those_who_watch_itself,
    a_directory_that_ends_is_not_read,
];

fn a_directorys_parent_is_told_before_those_who_watch_itself(d: &Dir) -> Outcome {
    let dir = d.dir("dir");
    let fd = sys::inotify_init()?;
    let (parent, own) = (sys::inotify_add_watch(&fd, d.path(), IN_ATTRIB)?, sys::inotify_add_watch(&fd, &dir, IN_ATTRIB)?);
    sys::chmod(&dir, 0o700)?;
    let told: Vec<_> = sys::inotify_events(&fd).into_iter().map(|e| (e.watch, e.mask, e.is_dir, e.name)).collect();
    assert_eq!(told, [(parent, IN_ATTRIB, true, "dir".to_owned()), (own, IN_ATTRIB, true, String::new())]);
    Ok(())
}

fn a_directory_that_ends_is_not_read(d: &Dir) -> Outcome {
    let dir = d.dir("dir");
    let fd = sys::inotify_init()?;
    sys::inotify_add_watch(&fd, &dir, IN_ALL_EVENTS)?;
    sys::rmdir(&dir)?;
    let told: Vec<u32> = sys::inotify_events(&fd).iter().map(|e| e.mask & !IN_ISDIR).filter(|mask| *mask != IN_ATTRIB).collect();
    assert_eq!(told, [IN_DELETE_SELF, IN_IGNORED]);
    Ok(())
}
