//! Making the cell's namespaces, and saying why where that is forbidden.

use std::fs;

use anyhow::Context;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use crate::cluster::Unavailable;

/// Moves this process, which must have one thread, into new network and mount namespaces, and its future children into
/// a new pid namespace. Without the right to do so it also makes a user namespace, in which its user is root.
pub(super) fn unshare_cell() -> anyhow::Result<()> {
    let cell = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        match unshare(cell) {
            Ok(()) => return Ok(()),
            // Root without CAP_SYS_ADMIN, as in most containers.
            Err(Errno::EPERM) => {}
            Err(errno) => return Err(forbidden(errno).into()),
        }
    }
    unshare(cell | CloneFlags::CLONE_NEWUSER).map_err(forbidden)?;
    // user_namespaces(7): a group map may be written without privilege only once setgroups is off.
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ];
    for (file, map) in maps {
        match fs::write(file, map) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => {
                return Err(forbidden(Errno::EPERM).into());
            }
            Err(error) => return Err(error).with_context(|| format!("writing {file}")),
        }
    }
    Ok(())
}

/// Why namespaces cannot be made here, as far as the system tells.
pub(super) fn forbidden(errno: Errno) -> Unavailable {
    diagnose(errno, |name| {
        let text = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
        text.trim().parse().ok()
    })
}

fn diagnose(errno: Errno, sysctl: impl Fn(&str) -> Option<i64>) -> Unavailable {
    let what = format!("this user may not make namespaces here ({})", errno.desc());
    let set = |name: &str, value: i64| {
        format!("run as root, or allow it: sudo sysctl {name}={value} (now {})", sysctl(name).unwrap_or(-1))
    };
    let remedy = if sysctl("user.max_user_namespaces") == Some(0) {
        set("user.max_user_namespaces", 10_000)
    } else if sysctl("kernel.unprivileged_userns_clone") == Some(0) {
        set("kernel.unprivileged_userns_clone", 1)
    } else if sysctl("kernel.apparmor_restrict_unprivileged_userns") == Some(1) {
        set("kernel.apparmor_restrict_unprivileged_userns", 0)
    } else if errno == Errno::ENOSPC {
        "the limit on namespaces is reached: raise user.max_user_namespaces, max_net_namespaces, \
         max_pid_namespaces and max_mnt_namespaces with sysctl, or end what holds them (lsns)"
            .to_owned()
    } else if errno == Errno::EINVAL {
        "the kernel lacks user, pid, mount or net namespaces: use one built with them".to_owned()
    } else {
        "run as root; in a container, start it with --privileged (or --cap-add SYS_ADMIN --cap-add NET_ADMIN \
         --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined)"
            .to_owned()
    };
    Unavailable::new(what, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_names_the_setting_that_forbids() {
        let remedy = |errno, name: &'static str, value| {
            diagnose(errno, move |asked| (asked == name).then_some(value)).remedy
        };
        assert!(
            remedy(Errno::ENOSPC, "user.max_user_namespaces", 0).contains("sysctl user.max_user_namespaces=")
        );
        assert!(
            remedy(Errno::EPERM, "kernel.apparmor_restrict_unprivileged_userns", 1)
                .contains("sysctl kernel.apparmor_restrict_unprivileged_userns=0 (now 1)")
        );
        assert!(
            remedy(Errno::EPERM, "kernel.unprivileged_userns_clone", 0)
                .contains("sysctl kernel.unprivileged_userns_clone=1")
        );
        assert!(remedy(Errno::EPERM, "user.max_user_namespaces", 9_000).contains("--privileged"));
        assert!(remedy(Errno::ENOSPC, "user.max_user_namespaces", 9_000).contains("lsns"));
    }
}
