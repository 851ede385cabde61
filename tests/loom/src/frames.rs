//! The life of a frame. `A` and `B` are files; a frame's content is a cell that loom watches.

use crate::frame::Frames;
use crate::region::Control;
use crate::units::{BLOCK_FRAMES, FrameNo};
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;

const FRAME: FrameNo = FrameNo::new(0);

fn explore(threads: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(threads);
}

/// A and B have the frame. A attaches it to a buffer and is deleted; B must not write in place.
#[test]
fn a_view_made_through_one_file_keeps_the_other_from_writing_in_place() {
    explore(|| {
        let frames = Frames::new(Control::new(2));
        let a = thread::spawn(move || {
            frames.get_run(FRAME, 1);
            frames.put(FRAME);
        });
        assert!(!frames.is_exclusive(FRAME));
        a.join().expect("A");
        assert!(!frames.is_exclusive(FRAME));
    });
}

/// B has the frame, a buffer shows it. `write` to A shares it from the buffer, which is then unmapped.
#[test]
fn a_frame_shared_from_a_view_is_not_written_in_place() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        frames.get_run(FRAME, 1);
        let a = thread::spawn(move || {
            assert!(frames.get_used(FRAME));
            frames.put_run(FRAME, 1);
        });
        assert!(!frames.is_exclusive(FRAME));
        a.join().expect("A");
        assert!(!frames.is_exclusive(FRAME));
    });
}

/// Both in a row: at no moment has the frame one reference and no view, though each is true at times.
#[test]
fn a_view_and_a_reference_that_take_turns_are_never_both_missed() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        frames.get_run(FRAME, 1);
        let a = thread::spawn(move || {
            assert!(frames.get_used(FRAME));
            frames.put_run(FRAME, 1);
            frames.get_run(FRAME, 1);
            frames.put(FRAME);
        });
        assert!(!frames.is_exclusive(FRAME));
        a.join().expect("A");
    });
}

/// The same with a view of the whole block that is cut to a part of it.
#[test]
fn a_view_that_is_cut_is_a_view_all_the_time() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        frames.get_run(FRAME, BLOCK_FRAMES as u32);
        let cutter = thread::spawn(move || {
            frames.get_run(FRAME, 1);
            frames.put_run(FRAME, BLOCK_FRAMES as u32);
        });
        assert!(!frames.is_exclusive(FRAME));
        // The file is deleted: the frame is free, and still shown.
        frames.put(FRAME);
        assert_eq!(frames.alloc(), None);
        cutter.join().expect("the cutter");
        assert_eq!(frames.alloc(), None);
        frames.put_run(FRAME, 1);
        assert_eq!(frames.alloc(), Some(FRAME));
    });
}

/// The file is deleted while a buffer shows the frame; whoever gets the frame next fills it.
#[test]
fn a_frame_is_given_out_again_only_after_its_last_view() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        let content = Arc::new(UnsafeCell::new(1));
        frames.get_run(FRAME, 1);
        let viewer = {
            let content = content.clone();
            thread::spawn(move || {
                content.with(|_| ());
                frames.put_run(FRAME, 1);
            })
        };
        frames.put(FRAME);
        if let Some(frame) = frames.alloc() {
            assert_eq!(frame, FRAME);
            content.with_mut(|_| ());
        }
        viewer.join().expect("the viewer");
    });
}

/// Two who need a frame, one frame, and somebody who gives it back: nobody gets it twice.
#[test]
fn a_frame_has_one_owner() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        let content = Arc::new(UnsafeCell::new(1));
        let other = {
            let content = content.clone();
            thread::spawn(move || {
                if frames.alloc().is_some() {
                    content.with_mut(|_| ());
                    frames.put(FRAME);
                }
            })
        };
        frames.put(FRAME);
        if frames.alloc().is_some() {
            content.with_mut(|_| ());
            frames.put(FRAME);
        }
        other.join().expect("the other");
        assert_eq!(frames.alloc(), Some(FRAME));
    });
}

/// A flush counts the frame under the inode's lock and reads it without; a write under the lock leaves it alone meanwhile.
#[test]
fn a_frame_that_is_flushed_is_not_written_in_place() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        let content = Arc::new((Mutex::new(()), UnsafeCell::new(1)));
        let flush = {
            let content = content.clone();
            thread::spawn(move || {
                {
                    let _lock = content.0.lock().expect("the inode's lock");
                    frames.get(FRAME);
                }
                content.1.with(|_| ());
                frames.put(FRAME);
            })
        };
        {
            let _lock = content.0.lock().expect("the inode's lock");
            if frames.is_exclusive(FRAME) {
                content.1.with_mut(|_| ());
            }
        }
        flush.join().expect("the flush");
    });
}

/// An attach counts the view under the inode's lock; a write under the lock leaves the frame alone from then on.
#[test]
fn a_frame_that_is_attached_is_not_written_in_place() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        let content = Arc::new((Mutex::new(()), UnsafeCell::new(1)));
        let attach = {
            let content = content.clone();
            thread::spawn(move || {
                {
                    let _lock = content.0.lock().expect("the inode's lock");
                    frames.get_run(FRAME, 1);
                }
                content.1.with(|_| ());
                frames.put_run(FRAME, 1);
            })
        };
        {
            let _lock = content.0.lock().expect("the inode's lock");
            if frames.is_exclusive(FRAME) {
                content.1.with_mut(|_| ());
            }
        }
        attach.join().expect("the attach");
    });
}

/// One knows a frame that a flush is about to free, another takes whatever there is; the frame may be shown again meanwhile.
#[test]
fn a_frame_that_is_claimed_has_one_owner() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        let content = Arc::new(UnsafeCell::new(1));
        let other = {
            let content = content.clone();
            thread::spawn(move || {
                if frames.alloc().is_some() {
                    content.with_mut(|_| ());
                    frames.put(FRAME);
                }
            })
        };
        frames.put(FRAME);
        if frames.claim(FRAME) {
            content.with_mut(|_| ());
            frames.put(FRAME);
        }
        other.join().expect("the other");
        assert!(frames.claim(FRAME));
    });
}

/// The file is deleted while a buffer shows the frame, which another process has noted.
#[test]
fn a_frame_is_claimed_only_after_its_last_view() {
    explore(|| {
        let frames = Frames::new(Control::new(1));
        let content = Arc::new(UnsafeCell::new(1));
        frames.get_run(FRAME, 1);
        let viewer = {
            let content = content.clone();
            thread::spawn(move || {
                content.with(|_| ());
                frames.put_run(FRAME, 1);
            })
        };
        frames.put(FRAME);
        if frames.claim(FRAME) {
            content.with_mut(|_| ());
        }
        viewer.join().expect("the viewer");
    });
}
