//! What the operating system is asked for before a secret is in this process.

/// Forbid core dumps, tracing and swapping out; return what was refused.
pub fn harden() -> Vec<&'static str> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: each call takes values or a pointer to a live value, and keeps nothing.
    let refused = unsafe {
        [
            ("core dumps", libc::setrlimit(libc::RLIMIT_CORE, &raw const none)),
            ("tracing by the same user", libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)),
            ("new privileges", libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)),
            ("swap", libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE)),
        ]
    };
    refused.into_iter().filter(|(_, answer)| *answer != 0).map(|(what, _)| what).collect()
}
