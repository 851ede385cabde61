//! The one macro that exports a C symbol.

/// Calls `f` out of line: what comes before it shall not pay for its frame.
#[inline(never)]
pub fn apart<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Exports a libc function. The body is safe code that returns [`Answer`](crate::boundary::Answer); everything around it is
/// [`boundary::cross`](crate::boundary::cross).
///
/// ```text
/// hook! {
///     /// `open(2)`; `mode` is read only with O_CREAT or O_TMPFILE.
///     fn open(path: CPath, flags: c_int, mode: mode_t) -> c_int, also(open64) {
///         files::open(AT_FDCWD, path, flags, mode)     // Err(NotOurs) => libc; Err(Fail(e)) => errno, -1
///     }
/// }
/// ```
///
/// * `, also(a, b)`: further names of the same function.
/// * `, when(EXPR)`: a test that decides alone, without crossing, that the call is libc's; default: FLAC is on.
/// * `, map(F)`: what libc's function returns goes through `F`.
/// * `, through(F)`: libc's function is called by F, its first argument being that function.
/// * `, lands(F; ARGUMENTS)`: whether what libc's function returned, F's first argument, shows that the path led to the directory that FLAC covers.
/// * `, cancels(boundary::may_cancel)`: a cancellation point of threads, as POSIX wants it of libc's function.
/// * `, quick(EXPR)`: an answer that is looked for first, before crossing; `None`: there is none.
/// * `, real(NAME)`: in the body, `NAME(args)` calls libc's function with other arguments (it is called under the guard).
macro_rules! hook {
    (
        $(#[$doc:meta])*
        fn $name:ident $args:tt -> $ret:ty
        $(, also($($alias:ident),+))?
        $(, when($($when:tt)+))?
        $(, map($map:path))?
        $(, through($through:path))?
        $(, lands($lands:path $(; $($given:ident),+)?))?
        $(, cancels($cancels:path))?
        $(, quick($($quick:tt)+))?
        $(, real($real:ident))?
        $body:block
    ) => {
        hook!(@export [$($doc)*] $name $args $ret, [$($($when)+)?] [$($map)?] [$($through)?] [$($lands $(; $($given),+)?)?] [$($cancels)?] [$($($quick)+)?] [$($real)?] $body);
        $($(
            hook!(@alias $name $alias $args $ret);
        )+)?
    };

    (@export [$($doc:meta)*] $name:ident ($($arg:ident: $ty:ty),* $(,)?) $ret:ty, $when:tt $map:tt $through:tt $lands:tt [$($cancels:path)?] $quick:tt [$($real:ident)?] $body:block) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As for libc's function of this name.
        #[allow(unsafe_code, reason = "the export and the call of libc; the body is written as safe code")]
        #[allow(clippy::too_many_arguments)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name($($arg: $ty),*) -> $ret {
            type Function = unsafe extern "C-unwind" fn($($ty),*) -> $ret;
            static REAL: $crate::real::Symbol = $crate::real::Symbol::new();
            // SAFETY: the bytes end with the only NUL among them.
            const NAME: &std::ffi::CStr = unsafe { std::ffi::CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) };
            #[inline(always)]
            fn libc_function($($arg: $ty),*) -> $ret {
                let at = REAL.get(NAME);
                if at.is_null() {
                    $crate::boundary::set_errno(libc::ENOSYS);
                    return <$ret as $crate::boundary::CReturn>::FAILED;
                }
                // SAFETY: libc's function of this name has this type.
                let function = unsafe { std::mem::transmute::<*mut libc::c_void, Function>(at) };
                // SAFETY: the arguments are the program's own, or made from them by the hook's body.
                unsafe { function($($arg),*) }
            }
            #[allow(dead_code, reason = "for bodies that call libc")]
            fn sheltered($($arg: $ty),*) -> $ret {
                $crate::boundary::sheltered(|| libc_function($($arg),*))
            }
            #[inline(always)]
            fn crossing($($arg: $ty),*) -> $ret {
                $crate::boundary::cross(
                    || {
                        $(let $real = sheltered;)?
                        $body
                    },
                    || hook!(@map $map hook!(@through $through libc_function $($arg),*)),
                    |result| hook!(@lands $lands result),
                )
            }
            // Out of line, so that a call that is libc's costs a test and a jump.
            #[inline(never)]
            fn served($($arg: $ty),*) -> $ret {
                $($cancels();)?
                hook!(@quick $quick crossing($($arg),*))
            }
            if hook!(@when $when) {
                return served($($arg),*);
            }
            if $crate::config::on() && $crate::boundary::inside() {
                return $crate::boundary::sheltered(|| hook!(@map $map libc_function($($arg),*)));
            }
            hook!(@map $map libc_function($($arg),*))
        }
    };

    (@alias $name:ident $alias:ident ($($arg:ident: $ty:ty),* $(,)?) $ret:ty) => {
        #[doc = concat!("Another name of [`", stringify!($name), "`].")]
        ///
        /// # Safety
        /// As for that.
        #[allow(unsafe_code, reason = "the export")]
        #[allow(clippy::too_many_arguments)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $alias($($arg: $ty),*) -> $ret {
            // SAFETY: same contract.
            unsafe { $name($($arg),*) }
        }
    };

    (@map [] $result:expr) => { $result };
    (@map [$map:path] $result:expr) => { $map($result) };
    (@through [] $function:ident $($arg:ident),*) => { $function($($arg),*) };
    (@through [$through:path] $function:ident $($arg:ident),*) => { $through($function, $($arg),*) };
    (@lands [] $result:ident) => {{
        let _ = $result;
        false
    }};
    (@lands [$lands:path $(; $($given:ident),+)?] $result:ident) => { $lands($result $(, $($given),+)?) };
    (@quick [] $crossing:expr) => { $crossing };
    (@quick [$($quick:tt)+] $crossing:expr) => {
        match $crate::boundary::quickly(|| $($quick)+) {
            Some(answer) => answer,
            None => $crate::hook::apart(|| $crossing),
        }
    };
    (@when []) => { $crate::config::on() };
    (@when [$($when:tt)+]) => { $($when)+ };
}
