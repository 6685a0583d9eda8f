// The deny list of the sandbox. What is not named is allowed: name spaces and dropped rights do the
// confining, this list keeps programs away from the parts of the kernel where escapes were found.
#include <sched.h>
#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "core/error.h"
#include "core/sandbox/sandbox.h"

namespace retrace {
namespace {

constexpr const char* kRefused[] = {"ptrace",
                                    "process_vm_readv",
                                    "process_vm_writev",
                                    "kcmp",
                                    "pidfd_getfd",
                                    "bpf",
                                    "perf_event_open",
                                    "userfaultfd",
                                    "keyctl",
                                    "add_key",
                                    "request_key",
                                    "io_uring_setup",
                                    "io_uring_enter",
                                    "io_uring_register",
                                    "mount",
                                    "umount2",
                                    "pivot_root",
                                    "chroot",
                                    "move_mount",
                                    "open_tree",
                                    "fsopen",
                                    "fsconfig",
                                    "fsmount",
                                    "fspick",
                                    "mount_setattr",
                                    "unshare",
                                    "setns",
                                    "socket",
                                    "personality",
                                    "init_module",
                                    "finit_module",
                                    "delete_module",
                                    "kexec_load",
                                    "kexec_file_load",
                                    "reboot",
                                    "swapon",
                                    "swapoff",
                                    "acct",
                                    "quotactl",
                                    "syslog",
                                    "settimeofday",
                                    "clock_settime",
                                    "clock_adjtime",
                                    "adjtimex",
                                    "open_by_handle_at",
                                    "name_to_handle_at",
                                    "lookup_dcookie",
                                    "iopl",
                                    "ioperm",
                                    "mbind",
                                    "set_mempolicy",
                                    "migrate_pages",
                                    "move_pages",
                                    "vhangup"};
constexpr uint64_t kTiocsti = 0x5412, kTioclinux = 0x541C, kLow32 = 0xffffffff;
constexpr uint64_t kNewNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

void require_ok(int error, const char* what) {
  if (error != 0) fail(Code::internal, "seccomp: {} failed with error {}", what, -error);
}

}  // namespace

std::string seccomp_program(bool may_fork) {
  std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  ensure(filter != nullptr, "a seccomp filter");
  for (const char* name : kRefused) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // a call that this libseccomp does not know yet
    require_ok(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0), name);
  }
  for (uint64_t request : {kTiocsti, kTioclinux})
    require_ok(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                SCMP_A1(SCMP_CMP_MASKED_EQ, kLow32, request)),
               "ioctl");
  // clone3 hides its flags in memory; told that it does not exist, the C library falls back to clone.
  require_ok(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
  if (may_fork) {
    for (uint64_t bit = 1; bit <= kLow32; bit <<= 1)
      if (kNewNamespaces & bit)
        require_ok(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                    SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit)),
                   "clone");
  } else {
    for (const int call : {SCMP_SYS(clone), SCMP_SYS(fork), SCMP_SYS(vfork)})
      require_ok(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EAGAIN), call, 0), "clone");
  }
  const Fd file = memory_file("");
  require_ok(seccomp_export_bpf(filter.get(), file.get()), "export");
  std::string program;
  char buffer[4096];
  lseek(file.get(), 0, SEEK_SET);
  for (ssize_t n; (n = read(file.get(), buffer, sizeof buffer)) > 0;)
    program.append(buffer, static_cast<size_t>(n));
  ensure(!program.empty(), "a compiled seccomp filter");
  return program;
}

}  // namespace retrace
