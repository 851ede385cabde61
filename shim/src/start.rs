//! What runs before the program and after it.

/// Reads the environment. Other modules that need a start of their own are called from here, only when FLAC is on.
extern "C" fn start() {
    let _on = crate::config::on();
}

/// The process ends by `exit` or by returning from `main`. Streams that libc flushes later are flushed by `hooks::stdio` before.
extern "C" fn end() {
    crate::space::end();
}

#[allow(unsafe_code, reason = "a section that the loader calls")]
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

#[allow(unsafe_code, reason = "a section that the loader calls")]
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;
