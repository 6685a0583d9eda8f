// Names that belong to the languages themselves: an import of one is external unless the tree clearly has its
// own.
#include "synth/structure/imports/imports.h"

namespace retrace::synth {

namespace {

// sys.stdlib_module_names of CPython 3.11.
constexpr std::string_view kPythonModules =
    " "
    "__future__ _abc _aix_support _ast _asyncio _bisect _blake2 _bootsubprocess _bz2 _codecs "
    "_codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _collections "
    "_collections_abc _compat_pickle _compression _contextvars _crypt _csv _ctypes _curses "
    "_curses_panel _datetime _dbm _decimal _elementtree _frozen_importlib _frozen_importlib_external "
    "_functools _gdbm _hashlib _heapq _imp _io _json _locale _lsprof _lzma _markupbase _md5 _msi "
    "_multibytecodec _multiprocessing _opcode _operator _osx_support _overlapped _pickle _posixshmem "
    "_posixsubprocess _py_abc _pydecimal _pyio _queue _random _scproxy _sha1 _sha256 _sha3 _sha512 "
    "_signal _sitebuiltins _socket _sqlite3 _sre _ssl _stat _statistics _string _strptime _struct "
    "_symtable _thread _threading_local _tkinter _tokenize _tracemalloc _typing _uuid _warnings "
    "_weakref _weakrefset _winapi _zoneinfo abc aifc antigravity argparse array ast asynchat asyncio "
    "asyncore atexit audioop base64 bdb binascii bisect builtins bz2 cProfile calendar cgi cgitb "
    "chunk cmath cmd code codecs codeop collections colorsys compileall concurrent configparser "
    "contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses datetime dbm decimal "
    "difflib dis distutils doctest email encodings ensurepip enum errno faulthandler fcntl filecmp "
    "fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob "
    "graphlib grp gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io "
    "ipaddress itertools json keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal "
    "math mimetypes mmap modulefinder msilib msvcrt multiprocessing netrc nis nntplib nt ntpath "
    "nturl2path numbers opcode operator optparse os ossaudiodev pathlib pdb pickle pickletools pipes "
    "pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty pwd py_compile "
    "pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter "
    "runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr "
    "socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string "
    "stringprep struct subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib "
    "tempfile termios textwrap this threading time timeit tkinter token tokenize tomllib trace "
    "traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid "
    "venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile "
    "zipimport zlib zoneinfo ";

// C23, POSIX and the headers of common systems. C++ headers have no extension and need no list.
constexpr std::string_view kHeaders =
    " "
    "aio.h alloca.h argp.h arm_neon.h arpa/inet.h assert.h byteswap.h complex.h conio.h cpio.h "
    "crypt.h ctype.h direct.h dirent.h dlfcn.h elf.h emmintrin.h endian.h err.h errno.h execinfo.h "
    "fcntl.h features.h fenv.h float.h fmtmsg.h fnmatch.h ftw.h getopt.h glob.h grp.h iconv.h "
    "ifaddrs.h immintrin.h intrin.h inttypes.h io.h iso646.h langinfo.h libgen.h libintl.h limits.h "
    "link.h locale.h malloc.h math.h mntent.h monetary.h mqueue.h ndbm.h net/if.h netdb.h "
    "netinet/in.h netinet/tcp.h nl_types.h paths.h poll.h process.h pthread.h pty.h pwd.h regex.h "
    "resolv.h sched.h search.h semaphore.h setjmp.h sgtty.h shadow.h signal.h spawn.h stdalign.h "
    "stdarg.h stdatomic.h stdbit.h stdbool.h stdckdint.h stddef.h stdint.h stdio.h stdio_ext.h "
    "stdlib.h stdnoreturn.h string.h strings.h stropts.h sys/cdefs.h sys/epoll.h sys/eventfd.h "
    "sys/file.h sys/inotify.h sys/ioctl.h sys/ipc.h sys/mman.h sys/mount.h sys/msg.h sys/param.h "
    "sys/poll.h sys/prctl.h sys/random.h sys/resource.h sys/select.h sys/sem.h sys/sendfile.h "
    "sys/shm.h sys/signal.h sys/socket.h sys/stat.h sys/statvfs.h sys/syscall.h sys/sysctl.h "
    "sys/sysinfo.h sys/syslog.h sys/time.h sys/timeb.h sys/timerfd.h sys/times.h sys/types.h "
    "sys/uio.h sys/un.h sys/utsname.h sys/vfs.h sys/wait.h syslog.h tar.h termio.h termios.h "
    "tgmath.h threads.h time.h trace.h uchar.h ucontext.h ulimit.h unistd.h utime.h utmp.h utmpx.h "
    "values.h wchar.h wctype.h windows.h winsock2.h wordexp.h ws2tcpip.h xmmintrin.h ";

bool holds(std::string_view list, std::string_view word) {
  if (word.empty() || word.find(' ') != word.npos) return false;
  return list.find(" " + std::string(word) + " ") != list.npos;
}

}  // namespace

bool is_python_standard_module(std::string_view top_name) {
  return holds(kPythonModules, top_name);
}

bool is_c_standard_header(std::string_view header) {
  return holds(kHeaders, header);
}

}  // namespace retrace::synth
