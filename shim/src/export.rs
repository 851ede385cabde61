//! The other macro that exports a C symbol: for functions in which libc calls us back.

/// Exports a libc function whose body runs *outside*: what it calls of libc may be a hook, and libc's function may call our hooks in turn (streams, fork
/// handlers). The body returns what C gets, and does not panic: a thread may be cancelled in it, which nothing may catch. Syntax as in `hook!`,
/// but `when` is asked only while FLAC is on and this thread is not inside.
macro_rules! export {
    (
        $(#[$doc:meta])*
        fn $name:ident $args:tt -> $ret:ty
        $(, also($($alias:ident),+))?
        $(, when($($when:tt)+))?
        $(, real($real:ident))?
        $body:block
    ) => {
        export!(@export [$($doc)*] $name $args $ret, [$($($when)+)?] [$($real)?] $body);
        $($(
            hook!(@alias $name $alias $args $ret);
        )+)?
    };

    (@export [$($doc:meta)*] $name:ident ($($arg:ident: $ty:ty),* $(,)?) $ret:ty, $when:tt [$($real:ident)?] $body:block) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As for libc's function of this name.
        #[allow(unsafe_code, reason = "the export and the call of libc")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name($($arg: $ty),*) -> $ret {
            type Function = unsafe extern "C-unwind" fn($($ty),*) -> $ret;
            static REAL: $crate::real::Symbol = $crate::real::Symbol::new();
            // SAFETY: the bytes end with the only NUL among them.
            const NAME: &std::ffi::CStr = unsafe { std::ffi::CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) };
            let libc_function = |$($arg: $ty),*| -> $ret {
                let at = REAL.get(NAME);
                if at.is_null() {
                    $crate::boundary::set_errno(libc::ENOSYS);
                    return <$ret as $crate::boundary::CReturn>::FAILED;
                }
                // SAFETY: libc's function of this name has this type.
                let function = unsafe { std::mem::transmute::<*mut libc::c_void, Function>(at) };
                // SAFETY: the arguments are the program's own, or made from them by the body.
                unsafe { function($($arg),*) }
            };
            if $crate::config::on() && $crate::boundary::inside() {
                return $crate::boundary::sheltered(|| libc_function($($arg),*));
            }
            if !export!(@when $when) {
                return libc_function($($arg),*);
            }
            $(let $real = libc_function;)?
            $body
        }
    };

    (@when []) => { $crate::config::on() && !$crate::boundary::inside() };
    (@when [$($when:tt)+]) => { $crate::config::on() && !$crate::boundary::inside() && ($($when)+) };
}
